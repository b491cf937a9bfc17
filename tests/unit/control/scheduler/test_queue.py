"""When a pod is tried, and when again."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types.taints import Taint
from podium.control.scheduler.hints import Change, ObjectChange, PodChange, helps
from podium.control.scheduler.needs import Needs, placed_of
from podium.control.scheduler.picture import Facts, NodeChange
from podium.control.scheduler.queue import FEW, SchedulingQueue

from ...clock import FakeClock
from .build import container, needs, pod
from .terms import anti_affinity, near, spread

BIG = Facts(allocatable={"cpu": 8000, "memory": 2**40, "pods": 110})


def gone(**spec: Any) -> PodChange:
    return PodChange(placed_of(pod("gone", **spec)), None)


def came(**spec: Any) -> PodChange:
    return PodChange(None, placed_of(pod("came", **spec)))


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


def test_a_rejected_pod_waits_for_a_change_that_helps_it() -> None:
    clock, queue = make()
    rejected(queue, needs("p"), "NodeResourcesFit")
    clock.advance(100)
    queue.moved(NodeChange("a", BIG, BIG._replace(unschedulable=True)))
    assert names(queue) == []
    queue.moved(gone())
    assert names(queue) == ["p"]


def crowd(queue: SchedulingQueue) -> list[Needs]:
    """More pods than are tried before their back-off is over."""
    pods = [needs(f"p{number}") for number in range(FEW + 1)]
    for entry in pods:
        rejected(queue, entry, "NodeResourcesFit")
    return pods


def test_a_crowd_waits_out_its_back_off_which_doubles_with_each_failure() -> None:
    clock, queue = make()
    pods = crowd(queue)
    for backoff in (1, 2, 4, 8, 10, 10):
        queue.moved(gone())
        clock.advance(backoff - 0.1)
        assert queue.pop() is None
        clock.advance(0.1)
        assert len(names(queue)) == len(pods)
        for entry in pods:
            queue.park(entry, frozenset({"NodeResourcesFit"}))


def test_a_few_are_tried_before_their_back_off_is_over_when_nothing_else_waits() -> None:
    _, queue = make()
    rejected(queue, needs("p"), "NodeResourcesFit")
    queue.moved(gone())
    queue.add(needs("fresh"))
    assert names(queue) == ["fresh", "p"]


def test_after_an_error_the_back_off_is_waited_for_to_the_end() -> None:
    clock, queue = make()
    queue.add(needs("p"))
    queue.pop()
    queue.retry("uid-p")
    assert queue.pop() is None
    clock.advance(1)
    assert names(queue) == ["p"]


def test_what_nothing_helps_is_tried_again_after_five_minutes() -> None:
    clock, queue = make()
    rejected(queue, needs("p"), "NodeResourcesFit")
    clock.advance(200)
    rejected(queue, needs("q"), "NodeResourcesFit")
    clock.advance(99)
    assert names(queue) == []
    clock.advance(1)
    assert names(queue) == ["p"]
    clock.advance(200)
    assert names(queue) == ["q"]


def test_a_pod_that_changed_what_it_needs_is_tried_at_once() -> None:
    _, queue = make()
    before = needs("p", requests={"cpu": "8"})
    rejected(queue, before, "NodeResourcesFit")
    queue.add(before)
    assert names(queue) == []
    smaller = needs("p", requests={"cpu": "1"})
    queue.add(smaller)
    assert queue.pop() == smaller


def test_a_pod_that_changes_while_it_is_decided_on_is_tried_again() -> None:
    _, queue = make()
    before, after = needs("p", requests={"cpu": "8"}), needs("p", requests={"cpu": "1"})
    queue.add(before)
    queue.pop()
    queue.add(after)
    assert queue.pop() is None
    queue.park(before, frozenset({"NodeResourcesFit"}))
    assert queue.pop() == after


def test_a_removed_pod_never_comes_back() -> None:
    clock, queue = make()
    entry = needs("p")
    queue.add(entry)
    queue.remove(entry.uid)
    assert names(queue) == []
    queue.add(entry)
    queue.pop()
    queue.retry(entry.uid)
    queue.remove(entry.uid)
    rejected(queue, needs("q"), "NodePorts")
    queue.remove("uid-q")
    queue.moved(gone())
    clock.advance(400)
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


TAINTED = BIG._replace(hard_taints=(Taint("k", "", "NoSchedule"),))
WEB = {"app": "web"}
PORT = [container(ports=[{"containerPort": 1, "hostPort": 80}])]
CLAIM = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]

HINTS: dict[str, tuple[str, dict[str, Any], Change, bool]] = {
    "a node that is uncordoned": (
        "NodeUnschedulable",
        {},
        NodeChange("a", BIG._replace(unschedulable=True), BIG),
        True,
    ),
    "a node that was schedulable all along": ("NodeUnschedulable", {}, NodeChange("a", BIG, BIG), False),
    "a taint that goes": ("TaintToleration", {}, NodeChange("a", TAINTED, BIG), True),
    "a taint that comes": ("TaintToleration", {}, NodeChange("a", BIG, TAINTED), False),
    "a tainted new node": ("TaintToleration", {}, NodeChange("a", None, TAINTED), False),
    "a new node that matches": (
        "NodeAffinity",
        {"nodeSelector": {}},
        NodeChange("a", None, BIG),
        True,
    ),
    "a new node that does not match": (
        "NodeAffinity",
        {"nodeSelector": {"disk": "ssd"}},
        NodeChange("a", None, BIG),
        False,
    ),
    "a new node with room": (
        "NodeResourcesFit",
        {"requests": {"cpu": "1"}},
        NodeChange("a", None, BIG),
        True,
    ),
    "a new node without room": (
        "NodeResourcesFit",
        {"requests": {"cpu": "9"}},
        NodeChange("a", None, BIG),
        False,
    ),
    "more of what is not asked for": (
        "NodeResourcesFit",
        {"requests": {"cpu": "1"}},
        NodeChange("a", BIG, BIG._replace(allocatable=BIG.allocatable | {"memory": 2**41})),
        False,
    ),
    "a pod that goes": ("NodeResourcesFit", {}, gone(), True),
    "a pod that comes": ("NodeResourcesFit", {}, came(), False),
    "a pod that goes and had another port": ("NodePorts", {"containers": PORT}, gone(), False),
    "a pod that goes and had the port": ("NodePorts", {"containers": PORT}, gone(containers=PORT), True),
    "a counted pod that goes": ("PodTopologySpread", spread(WEB), gone(labels=WEB), True),
    "a pod that is not counted": ("PodTopologySpread", spread(WEB), gone(), False),
    "a node that goes": ("PodTopologySpread", spread(WEB), NodeChange("a", BIG, None), True),
    "a neighbour that comes": ("InterPodAffinity", near(WEB), came(labels=WEB), True),
    "somebody else who comes": ("InterPodAffinity", near(WEB), came(), False),
    "an enemy that goes": ("InterPodAffinity", anti_affinity(WEB), gone(labels=WEB), True),
    "a pod that kept it away": (
        "InterPodAffinity",
        {"labels": WEB},
        gone(**anti_affinity(WEB)),
        True,
    ),
    "its claim": ("VolumeBinding", {"volumes": CLAIM}, ObjectChange("claim", "default", "data", False), True),
    "another claim": (
        "VolumeBinding",
        {"volumes": CLAIM},
        ObjectChange("claim", "default", "other", True),
        False,
    ),
    "a new class": ("VolumeBinding", {"volumes": CLAIM}, ObjectChange("class", "", "fast", True), True),
    "a class, for one that lacks cpu": (
        "NodeResourcesFit",
        {"volumes": CLAIM},
        ObjectChange("class", "", "fast", True),
        False,
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_who_is_helped_by(name: str) -> None:
    plugin, spec, change, helped = HINTS[name]
    assert helps(frozenset({plugin}), needs(**spec), change, {}) is helped
