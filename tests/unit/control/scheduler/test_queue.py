"""When a pod is tried, and when again."""

from __future__ import annotations

import dataclasses

from podium.control.scheduler.needs import Needs
from podium.control.scheduler.queue import SchedulingQueue

from ...clock import FakeClock
from .build import needs


def names(queue: SchedulingQueue) -> list[str]:
    popped: list[str] = []
    while (entry := queue.pop()) is not None:
        popped.append(entry.name)
    return popped


def make() -> tuple[FakeClock, SchedulingQueue]:
    clock = FakeClock()
    return clock, SchedulingQueue(clock)


def rejected(queue: SchedulingQueue, entry: Needs, *blockers: str) -> None:
    queue.add(entry)
    assert queue.pop() == entry
    queue.park(entry, frozenset(blockers))


def test_priority_comes_before_age() -> None:
    clock, queue = make()
    for name, priority in (("old", 0), ("new", 0), ("urgent", 10)):
        queue.add(needs(name, priority=priority))
        clock.advance(1)
    assert names(queue) == ["urgent", "old", "new"]


def test_a_rejected_pod_waits_for_an_event_that_helps_it() -> None:
    clock, queue = make()
    rejected(queue, needs("p"), "resources")
    clock.advance(100)
    queue.moved("labels")
    assert names(queue) == []
    queue.moved("pod gone")
    assert names(queue) == ["p"]


def test_an_event_does_not_shorten_the_back_off_and_each_failure_doubles_it() -> None:
    clock, queue = make()
    pod = needs("p")
    rejected(queue, pod, "taints")
    for backoff in (1, 2, 4, 8, 10, 10):
        queue.moved("taints")
        clock.advance(backoff - 0.1)
        assert queue.pop() is None
        clock.advance(0.1)
        assert queue.pop() == pod
        queue.park(pod, frozenset({"taints"}))


def test_a_new_node_helps_everybody() -> None:
    clock, queue = make()
    for blocker in ("resources", "taints", "affinity", "ports", "unschedulable"):
        rejected(queue, needs(blocker), blocker)
    clock.advance(60)
    queue.moved("added")
    assert len(names(queue)) == 5


def test_a_pod_that_changed_what_it_needs_is_tried_at_once() -> None:
    _, queue = make()
    pod = needs("p", requests={"cpu": "8"})
    rejected(queue, pod, "resources")
    queue.add(pod)
    assert names(queue) == []
    smaller = dataclasses.replace(needs("p", requests={"cpu": "1"}))
    queue.add(smaller)
    assert queue.pop() == smaller


def test_a_pod_that_changes_while_it_is_decided_on_is_tried_again() -> None:
    _, queue = make()
    before, after = needs("p", requests={"cpu": "8"}), needs("p", requests={"cpu": "1"})
    queue.add(before)
    queue.pop()
    queue.add(after)
    assert queue.pop() is None
    queue.park(before, frozenset({"resources"}))
    assert queue.pop() == after


def test_a_removed_pod_never_comes_back() -> None:
    clock, queue = make()
    pod = needs("p")
    queue.add(pod)
    queue.remove(pod.uid)
    assert names(queue) == []
    queue.add(pod)
    queue.pop()
    queue.retry(pod.uid)
    queue.remove(pod.uid)
    clock.advance(60)
    assert names(queue) == []
    assert not clock.pending


def test_what_a_cancelled_run_had_in_its_hands_is_reclaimed() -> None:
    _, queue = make()
    queue.add(needs("p"))
    queue.pop()
    assert queue.reclaim() == ["uid-p"]
    assert names(queue) == ["p"]


async def test_ready_wakes_when_there_is_something() -> None:
    _, queue = make()
    assert queue.pop() is None
    queue.add(needs("p"))
    await queue.ready()
    assert names(queue) == ["p"]
