"""How many pods a job gets, and which it loses."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.jobs.backoff import Failures, finished_at
from podium.control.jobs.making import pod_for
from podium.control.jobs.plan import plan
from podium.control.jobs.view import View

from .build import NOW, ago, indexed, job, look, pod


def deleted(view: View) -> list[str]:
    return [found["metadata"]["uid"] for found in plan(view, NOW).delete]


@pytest.mark.parametrize(
    ("spec", "status", "pods", "created"),
    [
        ({"completions": 5, "parallelism": 2}, {}, 0, 2),
        ({"completions": 5, "parallelism": 2}, {}, 1, 1),
        ({"completions": 5, "parallelism": 2}, {"succeeded": 4}, 0, 1),
        ({"completions": 5, "parallelism": 2}, {"succeeded": 5}, 0, 0),
        ({"completions": 1, "parallelism": 0}, {}, 0, 0),
        ({"parallelism": 3}, {}, 0, 3),
        ({"parallelism": 3}, {"succeeded": 1}, 1, 0),
        ({"parallelism": 900}, {}, 0, 500),
    ],
)
def test_as_many_pods_run_as_parallelism_and_what_is_left_to_do_allow(
    spec: Obj, status: Obj, pods: int, created: int
) -> None:
    found = plan(look(job(status, **spec), *(pod(str(n)) for n in range(pods))), NOW)
    assert (len(found.create), len(found.delete)) == (created, 0)


def test_a_suspended_job_runs_nothing() -> None:
    assert deleted(look(job(suspend=True, parallelism=2), pod("a"), pod("b"))) == ["a", "b"]


def test_pods_that_have_got_least_far_go_first() -> None:
    pods = [
        pod("ready", ready=True, ended=60),
        pod("newly-ready", ready=True, ended=5),
        pod("running"),
        pod("restarted", restarts=3),
        pod("pending", "Pending"),
        pod("unscheduled", "Pending", node=""),
    ]
    view = look(job(parallelism=0, completions=9), *pods)
    order = ["unscheduled", "pending", "restarted", "running", "newly-ready", "ready"]
    assert deleted(view) == order
    assert deleted(look(job(parallelism=5, completions=9), *pods)) == ["unscheduled"]


def test_a_pod_that_is_being_deleted_is_replaced_at_once_or_when_it_has_ended() -> None:
    going = pod("a", deleted=True)
    soon = look(job(completions=1), going, failures=Failures())
    later = look(job(completions=1, podReplacementPolicy="Failed"), going)
    assert plan(later, NOW).create == ()
    assert plan(soon, NOW).wait > 0 or plan(soon, NOW).create == [None]


@pytest.mark.parametrize(
    ("times", "seconds", "wait"),
    [(0, 0, 0), (1, 0, 10), (1, 4, 6), (1, 10, 0), (3, 0, 40), (7, 0, 600), (900, 0, 600), (1, -3600, 10)],
)
def test_the_pause_before_a_replacement_doubles_with_every_failure(
    times: int, seconds: float, wait: float
) -> None:
    last = finished_at(pod("a", "Failed", ended=seconds))
    assert Failures(times, last).wait(NOW) == wait


def test_a_success_ends_the_pauses_of_the_failures_before_it() -> None:
    before = Failures(3, NOW)
    success, early, late = pod("s", "Succeeded", ended=10), pod("a", "Failed", ended=20), pod("b", "Failed")
    assert before.after([success], []) == Failures()
    assert before.after([success], [early]) == Failures()
    assert before.after([success], [late, early]) == Failures(1, finished_at(late))
    assert before.after([], [late, early]) == Failures(5, finished_at(late))


def test_nothing_is_made_before_the_pause_is_over() -> None:
    view = look(job(completions=2, parallelism=2), pod("a", "Failed", ended=4), pod("b"))
    assert plan(view, NOW) == ((), (), 6.0)


def test_a_pod_that_never_said_when_it_ended_ended_with_its_readiness_or_its_deletion() -> None:
    silent = pod("a", "Failed", ended=7)
    silent["status"]["containerStatuses"][0]["state"] = {}
    assert finished_at(silent) == finished_at(pod("b", "Failed", ended=7))
    silent["status"]["conditions"] = []
    silent["metadata"] |= {"deletionTimestamp": ago(0), "deletionGracePeriodSeconds": 30}
    assert finished_at(silent) == finished_at(pod("b", "Failed", ended=30))


def test_a_sidecar_that_ends_last_tells_when_the_pod_ended() -> None:
    ended = pod("a", "Succeeded", ended=20)
    ended["spec"]["initContainers"] = [{"name": "side", "restartPolicy": "Always"}, {"name": "setup"}]
    terminated = {"terminated": {"exitCode": 0, "finishedAt": ago(3)}}
    ended["status"]["initContainerStatuses"] = [
        {"name": "side", "state": terminated},
        {"name": "setup", "state": {"terminated": {"exitCode": 0, "finishedAt": ago(1)}}},
    ]
    assert finished_at(ended) == finished_at(pod("b", "Succeeded", ended=3))


def test_an_indexed_job_works_on_the_first_indexes_that_are_left() -> None:
    of = indexed(9, {"completedIndexes": "0,2-3", "succeeded": 3}, parallelism=4)
    assert plan(look(of, pod("a", index=4)), NOW).create == [1, 5, 6]


def test_pods_with_the_same_index_with_none_or_with_one_too_high_are_too_many() -> None:
    pods = [pod("a", index=0), pod("b", index=0, ready=True), pod("c"), pod("d", index=7), pod("e", index=1)]
    assert sorted(deleted(look(indexed(2), *pods))) == ["a", "c", "d"]


def test_an_index_that_is_lost_gets_no_other_pod() -> None:
    of = indexed(3, {"failedIndexes": "1"}, backoffLimitPerIndex=0)
    assert plan(look(of), NOW).create == [0, 2]


def test_each_index_has_a_pause_of_its_own() -> None:
    of = indexed(2, backoffLimitPerIndex=5)
    counted = {"batch.kubernetes.io/job-index-failure-count": "1"}
    view = look(of, pod("a", "Failed", index=0, annotations=counted, ended=1))
    assert plan(view, NOW).create == [1]
    alone = look(of, pod("a", "Failed", index=0, annotations=counted, ended=1), pod("b", index=1))
    assert plan(alone, NOW).wait == 19


def test_a_terminating_pod_keeps_its_index_when_only_failed_ones_are_replaced() -> None:
    of = indexed(2, podReplacementPolicy="Failed", parallelism=2)
    assert plan(look(of, pod("a", index=0, deleted=True)), NOW).create == [1]


def made(of: Obj, index: int | None, replaced: Obj | None = None) -> Any:
    return pod_for(of, index, replaced)


def test_a_pod_is_made_from_the_template_and_tracked() -> None:
    meta = made(job(), None)["metadata"]
    assert meta["generateName"] == "work-"
    assert meta["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert meta["ownerReferences"][0]["kind"] == "Job"


def test_a_pod_knows_its_index_by_annotation_label_hostname_and_environment() -> None:
    found = made(indexed(3), 2)
    key = "batch.kubernetes.io/job-completion-index"
    assert found["metadata"]["generateName"] == "work-2-"
    assert found["metadata"]["annotations"][key] == found["metadata"]["labels"][key] == "2"
    assert found["spec"]["hostname"] == "work-2"
    variable = found["spec"]["containers"][0]["env"][0]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.labels['{key}']"


def test_a_template_that_sets_the_variable_itself_keeps_it() -> None:
    of = indexed(1)
    of["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "JOB_COMPLETION_INDEX", "value": "x"}]
    assert made(of, 0)["spec"]["containers"][0]["env"] == [{"name": "JOB_COMPLETION_INDEX", "value": "x"}]


def test_a_long_name_is_cut_before_the_index() -> None:
    of = indexed(20)
    of["metadata"]["name"] = "n" * 63
    assert made(of, 17)["metadata"]["generateName"] == "n" * 54 + "-17-"


def test_a_replacement_takes_over_the_failures_of_its_index() -> None:
    counted, ignored = (
        "batch.kubernetes.io/job-index-failure-count",
        "batch.kubernetes.io/job-index-ignored-failure-count",
    )
    target = {"type": "DisruptionTarget", "status": "True"}
    rules = {"rules": [{"action": "Ignore", "onPodConditions": [target]}]}
    of = indexed(2, backoffLimitPerIndex=5, podFailurePolicy=rules)
    assert made(of, 0)["metadata"]["annotations"][counted] == "0"
    broken = made(of, 0, pod("a", "Failed", index=0, annotations={counted: "2"}))["metadata"]["annotations"]
    assert (broken[counted], broken.get(ignored)) == ("3", None)
    evicted = pod("a", "Failed", index=0, annotations={counted: "2"}, conditions=[target])
    spared = made(of, 0, evicted)["metadata"]["annotations"]
    assert (spared[counted], spared[ignored]) == ("2", "1")
