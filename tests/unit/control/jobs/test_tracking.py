"""Every pod that ends is counted once, whatever is interrupted."""

from __future__ import annotations

import copy
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from podium.api.types import Obj
from podium.control.jobs import facts, tracking
from podium.control.jobs.verdict import REACHED, Verdict
from podium.control.jobs.view import View

from .build import NOW, ago, indexed, job, look, pod

FAILED = Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def counted(view: View, verdict: Verdict | None = None, limit: int = 500) -> tracking.Counted:
    return tracking.count(view, view.status, verdict, limit)


def names(pods: list[Obj]) -> list[str]:
    return [found["metadata"]["uid"] for found in pods]


def test_a_pod_that_ended_is_listed_before_its_finalizer_goes() -> None:
    found = counted(look(job(), pod("a", "Succeeded"), pod("b", "Failed"), pod("c")))
    assert found.status["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert names(found.release) == ["a", "b"]
    assert "succeeded" not in found.status


def test_a_listed_pod_becomes_a_number_when_its_finalizer_is_gone() -> None:
    listed = {"uncountedTerminatedPods": {"succeeded": ["a", "b"], "failed": ["c"]}, "failed": 1}
    found = counted(look(job(listed), pod("a", "Succeeded"), pod("b", "Succeeded", tracked=False)))
    assert found.status["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert (found.status["succeeded"], found.status["failed"]) == (1, 2)
    assert names(found.release) == ["a"]


def test_an_index_needs_no_list_since_it_can_succeed_only_once() -> None:
    of = indexed(3, {"completedIndexes": "0", "succeeded": 1})
    found = counted(look(of, pod("a", "Succeeded", index=0), pod("b", "Succeeded", index=2)))
    assert found.status["completedIndexes"] == "0,2"
    assert found.status["succeeded"] == 2
    assert found.status["uncountedTerminatedPods"] == {}
    assert names(found.release) == ["a", "b"]


def test_completions_that_are_lowered_take_the_indexes_above_with_them() -> None:
    found = counted(look(indexed(2, {"completedIndexes": "0-3", "succeeded": 4})))
    assert (found.status["completedIndexes"], found.status["succeeded"]) == ("0,1", 2)


def test_a_pod_with_an_index_too_high_counts_as_nothing() -> None:
    found = counted(look(indexed(2), pod("a", "Failed", index=5), pod("b", "Succeeded", index=5)))
    assert found.status["uncountedTerminatedPods"] == {}
    assert names(found.release) == ["a", "b"]


def test_ignored_failures_are_let_go_and_not_counted() -> None:
    target = {"type": "DisruptionTarget", "status": "True"}
    rules = {"rules": [{"action": "Ignore", "onPodConditions": [target]}]}
    found = counted(look(job(podFailurePolicy=rules), pod("a", "Failed", conditions=[target])))
    assert found.status["uncountedTerminatedPods"] == {}
    assert names(found.release) == ["a"]


def test_a_failed_pod_stays_until_its_replacement_knows_its_failures() -> None:
    of = indexed(1, backoffLimitPerIndex=3)
    broken = pod("a", "Failed", index=0)
    assert counted(look(of, broken)).release == []
    assert names(counted(look(of, broken, pod("b", index=0))).release) == ["a"]


def test_when_a_job_fails_all_its_pods_do() -> None:
    found = counted(look(job(), pod("a"), pod("b", "Succeeded")), FAILED)
    assert found.status["uncountedTerminatedPods"] == {"succeeded": ["b"], "failed": ["a"]}
    assert names(found.release) == ["a", "b"]


def test_when_a_job_succeeds_early_the_pods_it_stops_have_not_failed() -> None:
    found = counted(look(indexed(3), pod("a", index=1)), REACHED)
    assert found.status["uncountedTerminatedPods"] == {}
    assert names(found.release) == ["a"]


def test_pods_of_a_job_that_is_deleted_are_let_go() -> None:
    going = job()
    going["metadata"]["deletionTimestamp"] = ago(0)
    assert names(counted(look(going, pod("a"))).release) == ["a"]


def test_only_so_many_pods_are_listed_at_once() -> None:
    view = look(job(), *(pod(str(number), "Failed") for number in range(7)))
    found = counted(view, limit=5)
    assert (len(found.release), found.more) == (5, True)
    assert len(found.status["uncountedTerminatedPods"]["failed"]) == 5


def test_a_job_is_finished_when_every_pod_is_counted_and_gone() -> None:
    assert tracking.close({"uncountedTerminatedPods": {"failed": ["a"]}}, FAILED, NOW) is None
    assert tracking.close({"uncountedTerminatedPods": {}, "terminating": 1}, FAILED, NOW) is None
    closed = tracking.close({"uncountedTerminatedPods": {}, "startTime": ago(5)}, REACHED, NOW)
    assert closed is not None
    assert closed["completionTime"] == ago(0)
    assert [entry["type"] for entry in closed["conditions"]] == ["Complete"]


def test_a_job_that_ends_before_it_started_by_the_clock_ends_when_it_started() -> None:
    closed = tracking.close({"uncountedTerminatedPods": {}, "startTime": ago(-90)}, REACHED, NOW)
    assert closed is not None
    assert closed["completionTime"] == ago(-90)


class Interrupted(Exception):
    pass


@settings(max_examples=150, deadline=None)
@given(
    phases=st.lists(st.sampled_from(["Succeeded", "Failed"]), min_size=1, max_size=6),
    crashes=st.lists(st.integers(0, 12), max_size=5),
    stale=st.booleans(),
)
def test_a_crash_between_any_two_steps_loses_no_pod_and_counts_none_twice(
    phases: list[str], crashes: list[int], stale: bool
) -> None:
    """Runs the steps (write the list, take finalizers one by one, write the counts) and dies after some of
    them; pods that were let go may be deleted by anybody at once."""
    stored = job(backoffLimit=99)
    pods = {str(number): pod(str(number), phase) for number, phase in enumerate(phases)}
    for crash in [*crashes, None]:
        steps = itertools.count()

        def step(crash: int | None = crash, steps: itertools.count[int] = steps) -> None:
            if next(steps) == crash:
                raise Interrupted

        try:
            view = look(stored, *map(copy.deepcopy, pods.values()))
            found = tracking.count(view, stored["status"], None, limit=2)
            step()
            stored["status"] = found.status
            step()
            taken = set()
            for released in found.release:
                uid = released["metadata"]["uid"]
                step()
                pods[uid]["metadata"]["finalizers"] = []
                if not stale:
                    del pods[uid]
                taken.add(uid)
            held = {uid for uid, left in pods.items() if facts.tracked(left)}
            step()
            stored["status"] = tracking.settle(found.status, held)
        except Interrupted:
            continue
    for _ in range(len(phases) + 1):
        view = look(stored, *pods.values())
        found = tracking.count(view, stored["status"], None, limit=2)
        for released in found.release:
            pods[released["metadata"]["uid"]]["metadata"]["finalizers"] = []
        held = {uid for uid, left in pods.items() if facts.tracked(left)}
        stored["status"] = tracking.settle(found.status, held)
    assert stored["status"].get("succeeded", 0) == phases.count("Succeeded")
    assert stored["status"].get("failed", 0) == phases.count("Failed")
    assert stored["status"]["uncountedTerminatedPods"] == {}
