"""What waits while pods start and end, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.runtime import signalling
from podium.runtime.pods.model import Observed
from podium.runtime.pods.publish import passing
from podium.runtime.pods.rush import CROWD, Rush
from podium.runtime.pods.status import compose
from tests.unit.runtime.making import NOW, container, ended, later, observed, pod, running

COMING, GOING = {"leaving": False}, {"leaving": True}


def status(known: Observed, of: Obj | None = None, **more: Any) -> Obj:
    return compose(of or pod(), known, NOW, host_ip="192.0.2.1", **more)


async def test_what_can_wait_goes_on_when_nothing_is_pressing() -> None:
    rush = Rush()
    await rush.over(60)
    with rush.pressing():
        waiting = asyncio.create_task(rush.over(60))
        await asyncio.sleep(0)
        assert not waiting.done()
        with rush.pressing():
            assert not rush.crowded
    await waiting


async def test_a_moment_between_two_steps_does_not_end_a_rush() -> None:
    rush = Rush()
    with rush.pressing():
        waiting = asyncio.create_task(rush.over(60))
        await asyncio.sleep(0)
    with rush.pressing():
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_nothing_waits_for_ever() -> None:
    rush = Rush()
    with rush.pressing():
        await rush.over(0.01)


async def test_more_than_a_node_can_do_at_once_is_a_crowd() -> None:
    rush = Rush()
    blocks = [rush.pressing() for _ in range(CROWD + 1)]
    for block in blocks:
        block.__enter__()
    assert rush.crowded
    for block in blocks:
        block.__exit__(None, None, None)
    assert not rush.crowded


def test_a_pod_that_has_not_begun_yet_is_told_of_in_passing() -> None:
    made = status(Observed())
    assert passing({}, made, **COMING)
    with_sandbox = status(Observed(sandbox="s", ips=("10.42.0.5",)))
    assert passing(made, with_sandbox, **COMING)


@pytest.mark.parametrize(
    "known",
    [
        observed(running(container())),
        observed(running(container()), started={"c-0"}, ready={"c-0"}),
        observed(ended(container(), 1)),
        Observed(failed=("Evicted", "no room")),
    ],
    ids=["running", "ready", "ended", "failed"],
)
def test_what_somebody_may_wait_for_is_told_at_once(known: Observed) -> None:
    assert not passing({}, status(known), **COMING)


def test_of_a_pod_that_is_leaving_the_end_is_told_together_with_what_follows() -> None:
    before = status(observed(running(container()), started={"c-0"}, ready={"c-0"}))
    assert passing(before, status(observed(ended(container(), 0))), **GOING)


def test_a_container_that_stops_before_the_others_is_told_of_at_once() -> None:
    both = pod(container("a"), container("b"))
    before = status(observed(running(container("a")), running(container("b"))), both)
    after = status(observed(ended(container("a"), 0), running(container("b"))), both)
    assert not passing(before, after, **GOING)


def test_that_a_deletion_was_seen_is_told_in_passing() -> None:
    known = observed(running(container()), started={"c-0"}, ready={"c-0"})
    before, after = status(known), status(known, pod(meta={"generation": 2}))
    assert before != after
    assert passing(before, after, **GOING)


def test_times_are_those_of_what_happened_not_of_when_it_is_told() -> None:
    first = status(Observed(sandbox="s", ips=("10.42.0.5",)))
    known = observed(running(container()), started={"c-0"}, ready={"c-0"})
    told = compose(pod(), known, later(3), host_ip="192.0.2.1", untold=first)
    since = {each["type"]: each["lastTransitionTime"] for each in told["conditions"]}
    assert told["startTime"] == since["PodReadyToStartContainers"] == "2026-01-02T03:04:05Z"
    assert since["Ready"] == "2026-01-02T03:04:08Z"


def test_a_signal_reaches_only_the_process_that_is_meant() -> None:
    process = subprocess.Popen(["sleep", "60"])
    group = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()[0].rpartition(":")[2]
    try:
        assert not signalling.send(process.pid, "another-container", signal.SIGTERM)
        assert not signalling.send(0, group, signal.SIGTERM)
        assert process.poll() is None
        assert signalling.send(process.pid, group, signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
        assert not signalling.send(process.pid, group, signal.SIGTERM)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
