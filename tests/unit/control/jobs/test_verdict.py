"""Whether a job ends, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.jobs.policies import judge
from podium.control.jobs.verdict import Verdict, decide, is_complete

from .build import NOW, ago, indexed, job, look, pod

LIMIT = Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = Verdict(False, "DeadlineExceeded", "Job was active longer than specified deadline")
DISRUPTED = {"type": "DisruptionTarget", "status": "True"}


def policy(*rules: Obj) -> Obj:
    return {"rules": list(rules)}


def exits(action: str, operator: str, *codes: int, **more: Any) -> Obj:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(codes), **more}}


def disrupted(action: str) -> Obj:
    return {"action": action, "onPodConditions": [DISRUPTED]}


def test_a_job_goes_on_while_its_failures_are_within_the_limit() -> None:
    assert decide(look(job(backoffLimit=1), pod("a", "Failed")), NOW) is None


def test_one_failure_more_than_the_limit_ends_the_job() -> None:
    counted = {"failed": 1, "uncountedTerminatedPods": {"failed": ["gone"]}}
    assert decide(look(job(counted, backoffLimit=2), pod("a", "Failed")), NOW) == LIMIT


def test_a_pod_on_the_list_of_those_about_to_be_counted_counts_once() -> None:
    listed = {"uncountedTerminatedPods": {"failed": ["a"]}}
    assert look(job(listed), pod("a", "Failed")).failed == 1
    assert look(job({"failed": 1}), pod("a", "Failed"), released=["a"]).failed == 1


@pytest.mark.parametrize(("limit", "restarts", "ends"), [(0, 1, True), (3, 2, False), (3, 3, True)])
def test_restarts_in_place_count_towards_the_limit(limit: int, restarts: int, ends: bool) -> None:
    template = {"spec": {"restartPolicy": "OnFailure", "containers": []}}
    found = decide(look(job(backoffLimit=limit, template=template), pod("a", restarts=restarts)), NOW)
    assert found == (LIMIT if ends else None)


@pytest.mark.parametrize(
    ("seconds", "suspend", "ends"), [(61, False, False), (60, False, True), (1, True, False)]
)
def test_a_job_may_be_active_only_so_long(seconds: int, suspend: bool, ends: bool) -> None:
    found = decide(look(job(activeDeadlineSeconds=seconds, suspend=suspend), pod("a")), NOW)
    assert found == (LATE if ends else None)


def test_a_clock_that_was_set_back_does_not_end_a_job() -> None:
    assert decide(look(job({"startTime": ago(-3600)}, activeDeadlineSeconds=1)), NOW) is None


@pytest.mark.parametrize("kind", ["FailureTarget", "SuccessCriteriaMet"])
def test_what_was_decided_once_stays_decided(kind: str) -> None:
    said = {"type": kind, "status": "True", "reason": "Because", "message": "of that"}
    found = decide(look(job({"conditions": [said]}, backoffLimit=0), pod("a", "Failed")), NOW)
    assert found == Verdict(kind == "SuccessCriteriaMet", "Because", "of that")


@pytest.mark.parametrize(
    ("rules", "failed", "action"),
    [
        ([exits("FailJob", "In", 42)], pod("a", "Failed", code=42), "FailJob"),
        ([exits("FailJob", "In", 42)], pod("a", "Failed", code=41), ""),
        ([exits("Ignore", "NotIn", 42)], pod("a", "Failed", code=1), "Ignore"),
        ([exits("FailJob", "In", 1, containerName="other")], pod("a", "Failed"), ""),
        ([disrupted("Ignore")], pod("a", "Failed", conditions=[DISRUPTED]), "Ignore"),
        ([disrupted("Count")], pod("a", "Failed", conditions=[{**DISRUPTED, "status": "False"}]), ""),
        ([disrupted("Ignore"), exits("FailJob", "In", 1)], pod("a", "Failed"), "FailJob"),
        ([exits("Count", "In", 1), exits("FailJob", "In", 1)], pod("a", "Failed"), "Count"),
    ],
)
def test_the_first_rule_that_matches_says_what_a_failure_means(
    rules: list[Obj], failed: Obj, action: str
) -> None:
    assert judge(policy(*rules), failed).action == action


def test_a_failure_that_fails_the_job_says_which_container_did_it() -> None:
    rules = policy(disrupted("Ignore"), exits("FailJob", "In", 42))
    found = decide(look(job(podFailurePolicy=rules), pod("a", "Failed", code=42)), NOW)
    text = "Container main for pod test/a failed with exit code 42 matching FailJob rule at index 1"
    assert found == Verdict(False, "PodFailurePolicy", text)


def test_a_failure_that_fails_the_job_says_which_condition_did_it() -> None:
    rules = policy(disrupted("FailJob"))
    found = decide(look(job(podFailurePolicy=rules), pod("a", "Failed", conditions=[DISRUPTED])), NOW)
    text = "Pod test/a has condition DisruptionTarget matching FailJob rule at index 0"
    assert found is not None
    assert found.message == text


def test_ignored_failures_use_up_no_limit() -> None:
    rules = policy(disrupted("Ignore"))
    view = look(job(podFailurePolicy=rules, backoffLimit=0), pod("a", "Failed", conditions=[DISRUPTED]))
    assert decide(view, NOW) is None


def test_a_deleted_pod_fails_at_once_unless_only_failed_ones_are_replaced() -> None:
    assert look(job(), pod("a", deleted=True)).failed == 1
    assert look(job(podReplacementPolicy="Failed"), pod("a", deleted=True)).failed == 0


def test_failures_are_limited_per_index() -> None:
    of = indexed(3, backoffLimit=2**31 - 1, backoffLimitPerIndex=1)
    once = pod("a", "Failed", index=0, annotations={"batch.kubernetes.io/job-index-failure-count": "0"})
    twice = pod("b", "Failed", index=1, annotations={"batch.kubernetes.io/job-index-failure-count": "1"})
    view = look(of, once, twice)
    assert str(view.lost) == "1"
    assert list(view.delayed) == [0]
    assert decide(view, NOW) is None


def test_a_job_fails_when_all_its_indexes_are_done_and_some_are_lost() -> None:
    of = indexed(2, {"completedIndexes": "0", "succeeded": 1}, backoffLimit=99, backoffLimitPerIndex=0)
    found = decide(look(of, pod("a", "Failed", index=1)), NOW)
    assert found == Verdict(False, "FailedIndexes", "Job has failed indexes")


def test_a_job_fails_when_too_many_indexes_are_lost() -> None:
    of = indexed(9, {"failedIndexes": "0"}, backoffLimit=99, backoffLimitPerIndex=0, maxFailedIndexes=1)
    found = decide(look(of, pod("a", "Failed", index=1)), NOW)
    text = "Job has exceeded the specified maximal number of failed indexes"
    assert found == Verdict(False, "MaxFailedIndexesExceeded", text)


def test_a_rule_can_give_up_an_index_at_once() -> None:
    rules = policy(exits("FailIndex", "In", 3))
    of = indexed(2, backoffLimit=99, backoffLimitPerIndex=5, podFailurePolicy=rules)
    assert str(look(of, pod("a", "Failed", index=1, code=3)).lost) == "1"


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({"succeededCount": 2}, True),
        ({"succeededCount": 3}, False),
        ({"succeededIndexes": "0,2"}, True),
        ({"succeededIndexes": "0,1"}, False),
        ({"succeededIndexes": "0,1,3", "succeededCount": 1}, True),
    ],
)
def test_a_success_policy_ends_the_job_before_all_indexes_are_done(rule: Obj, met: bool) -> None:
    of = indexed(4, {"completedIndexes": "0"}, successPolicy=policy({"succeededCount": 4}, rule))
    found = decide(look(of, pod("a", "Succeeded", index=2), pod("b", index=3)), NOW)
    assert found == (Verdict(True, "SuccessPolicy", "Matched rules at index 1") if met else None)


def test_a_job_is_complete_with_its_completions_and_no_pod_running() -> None:
    done = {"succeeded": 2}
    assert is_complete(look(job(done, completions=2)), 0)
    assert not is_complete(look(job(done, completions=2), pod("a")), 1)
    assert not is_complete(look(job(done, completions=3)), 0)
    assert is_complete(look(job(completions=0)), 0)


def test_without_completions_one_success_is_enough_once_all_pods_have_ended() -> None:
    assert not is_complete(look(job()), 0)
    assert not is_complete(look(job({"succeeded": 1}), pod("a")), 1)
    assert is_complete(look(job({"succeeded": 1})), 0)
