"""Jobs as the API server and the other controllers see them."""

from __future__ import annotations

import asyncio
import random

import pytest

from podium.api.types import Obj
from podium.api.types.errors import forbidden
from podium.api.types.meta import condition, controller_of, deleting
from podium.api.types.resources import EVENTS, JOBS, NAMESPACES, PODS, Resource
from podium.control.jobs import backoff, facts

from ..cluster import TestCluster
from .working import Programs, a_job, by_index, ended, pods_of, runs, until_running


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)


def conditions(obj: Obj) -> list[str]:
    entries = obj["status"]["conditions"]
    return [entry["type"] for entry in entries if entry["status"] == "True"]


async def reasons(cluster: TestCluster, *wanted: str) -> list[Obj]:
    """Waits for events with these reasons; returns all."""
    return await cluster.until(EVENTS, lambda events: set(wanted) <= {event["reason"] for event in events})


async def test_a_job_completes_with_its_pods(cluster: TestCluster) -> None:
    Programs(cluster, runs())
    await cluster.client.create(JOBS, a_job(completions=4, parallelism=2))
    found = await ended(cluster)
    status = found["status"]
    assert status["succeeded"] == 4
    assert {"active", "failed"}.isdisjoint(status)
    assert (status["ready"], status["terminating"], status["uncountedTerminatedPods"]) == (0, 0, {})
    assert conditions(found) == ["SuccessCriteriaMet", "Complete"]
    complete = condition(found, "Complete") or {}
    assert (complete["reason"], complete["message"]) == (
        "CompletionsReached",
        "Reached expected number of succeeded pods",
    )
    assert status["startTime"] <= status["completionTime"] == complete["lastTransitionTime"]
    pods = await pods_of(cluster)
    assert len(pods) == 4
    assert not any(facts.tracked(pod) for pod in pods)
    events = await reasons(cluster, "SuccessfulCreate", "Completed")
    assert {"Job completed"} == {event["message"] for event in events if event["reason"] == "Completed"}


async def test_a_job_without_completions_ends_when_one_pod_succeeded_and_all_ended(
    cluster: TestCluster,
) -> None:
    programs = Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job(parallelism=3))
    first, *others = await until_running(cluster, 3)
    await programs.end(first, 0)
    await cluster.one(JOBS, "work", lambda job: job["status"].get("succeeded") == 1)
    for pod in others:
        await programs.end(pod, 0)
    assert (await ended(cluster))["status"]["succeeded"] == 3
    assert len(await pods_of(cluster)) == 3


async def test_a_job_that_always_fails_stops_at_its_limit(cluster: TestCluster) -> None:
    Programs(cluster, runs(1))
    await cluster.client.create(JOBS, a_job(backoffLimit=2))
    found = await ended(cluster, "Failed")
    assert found["status"]["failed"] == 3
    assert conditions(found) == ["FailureTarget", "Failed"]
    failed = condition(found, "Failed") or {}
    assert (failed["reason"], failed["message"]) == (
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )
    assert "completionTime" not in found["status"]
    assert len(await pods_of(cluster)) == 3
    await reasons(cluster, "BackoffLimitExceeded")


async def test_every_index_is_done_once(cluster: TestCluster) -> None:
    failed: set[int] = set()

    def once(pod: Obj) -> int:
        """Index 1 fails the first time."""
        index = facts.index_of(pod)
        if index == 1 and index not in failed:
            failed.add(index)
            return 1
        return 0

    Programs(cluster, once)
    await cluster.client.create(JOBS, a_job(completions=4, parallelism=4, completionMode="Indexed"))
    status = (await ended(cluster))["status"]
    assert (status["completedIndexes"], status["succeeded"], status["failed"]) == ("0-3", 4, 1)
    pods = await pods_of(cluster)
    assert sorted(pod["spec"]["hostname"] for pod in pods) == [
        "work-0",
        "work-1",
        "work-1",
        "work-2",
        "work-3",
    ]


async def test_failed_indexes_do_not_stop_the_others(cluster: TestCluster) -> None:
    Programs(cluster, by_index({0: 0, 1: 1, 2: 0, 3: 1}))
    spec = {"completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    await cluster.client.create(JOBS, a_job(**spec))
    found = await ended(cluster, "Failed")
    status = found["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1,3")
    assert (status["succeeded"], status["failed"]) == (2, 4)
    assert (condition(found, "Failed") or {})["reason"] == "FailedIndexes"
    counts = {(facts.index_of(pod), facts.count_of(pod, facts.FAILURES)) for pod in await pods_of(cluster)}
    assert counts == {(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1)}


async def test_too_many_failed_indexes_end_the_job_and_its_pods(cluster: TestCluster) -> None:
    Programs(cluster, by_index({0: None, 1: 1, 2: 1}))
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    await cluster.client.create(JOBS, a_job(**spec, maxFailedIndexes=1))
    found = await ended(cluster, "Failed")
    assert (condition(found, "Failed") or {})["reason"] == "MaxFailedIndexesExceeded"
    assert found["status"]["failed"] == 3
    assert "active" not in found["status"]
    await cluster.until(PODS, lambda pods: len(pods) == 2)


async def test_an_exit_code_can_fail_the_job(cluster: TestCluster) -> None:
    Programs(cluster, runs(42))
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    await cluster.client.create(JOBS, a_job(podFailurePolicy={"rules": [rule]}, completions=2))
    found = await ended(cluster, "Failed")
    failed = condition(found, "Failed") or {}
    assert failed["reason"] == "PodFailurePolicy"
    assert "failed with exit code 42 matching FailJob rule at index 0" in failed["message"]
    assert len(await pods_of(cluster)) == 1


async def test_a_success_policy_stops_what_still_runs(cluster: TestCluster) -> None:
    Programs(cluster, by_index({0: 0, 1: None, 2: None}))
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed"}
    policy = {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]}
    await cluster.client.create(JOBS, a_job(**spec, successPolicy=policy))
    found = await ended(cluster)
    assert [(condition(found, kind) or {})["reason"] for kind in conditions(found)] == ["SuccessPolicy"] * 2
    assert found["status"]["completedIndexes"] == "0"
    assert (condition(found, "Complete") or {})["message"] == "Matched rules at index 0"
    await cluster.until(PODS, lambda pods: len(pods) == 1)


async def test_a_job_that_takes_too_long_fails(cluster: TestCluster) -> None:
    Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job(parallelism=2, activeDeadlineSeconds=1))
    found = await ended(cluster, "Failed")
    assert (condition(found, "Failed") or {})["reason"] == "DeadlineExceeded"
    assert found["status"]["failed"] == 2
    await cluster.until(PODS, lambda pods: not pods)
    await reasons(cluster, "DeadlineExceeded", "SuccessfulDelete")


async def test_a_job_is_suspended_and_resumed(cluster: TestCluster) -> None:
    ends: list[int | None] = [None]
    programs = Programs(cluster, lambda pod: ends[0])
    await cluster.client.create(JOBS, a_job(parallelism=2, completions=2))
    await until_running(cluster, 2)
    await cluster.client.patch(JOBS, "work", {"spec": {"suspend": True}}, "test")
    found = await cluster.one(JOBS, "work", lambda job: facts.holds(job, "Suspended"))
    assert (condition(found, "Suspended") or {})["reason"] == "JobSuspended"
    assert "startTime" not in found["status"]
    await cluster.until(PODS, lambda pods: not pods)
    ends[0] = 0
    await cluster.client.patch(JOBS, "work", {"spec": {"suspend": False}}, "test")
    found = await ended(cluster)
    resumed = condition(found, "Suspended") or {}
    assert (resumed["status"], resumed["reason"], resumed["message"]) == (
        "False",
        "JobResumed",
        "Job resumed",
    )
    assert (found["status"]["succeeded"], found["status"].get("failed")) == (2, None)
    assert len(programs.ended) == 2
    await reasons(cluster, "Suspended", "Resumed", "Completed")


async def test_a_job_made_suspended_starts_when_resumed(cluster: TestCluster) -> None:
    Programs(cluster, runs())
    await cluster.client.create(JOBS, a_job(suspend=True))
    found = await cluster.one(JOBS, "work", lambda job: facts.holds(job, "Suspended"))
    assert "startTime" not in found["status"]
    assert await pods_of(cluster) == []
    await cluster.client.patch(JOBS, "work", {"spec": {"suspend": False}}, "test")
    await ended(cluster)


async def test_parallelism_can_be_changed_while_the_job_runs(cluster: TestCluster) -> None:
    Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job(parallelism=2, completions=6))
    await until_running(cluster, 2)
    await cluster.client.patch(JOBS, "work", {"spec": {"parallelism": 4}}, "test")
    await until_running(cluster, 4)
    await cluster.client.patch(JOBS, "work", {"spec": {"parallelism": 1}}, "test")
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    found = await cluster.one(JOBS, "work", lambda job: job["status"].get("active") == 1)
    assert "failed" not in found["status"]


async def test_an_indexed_job_is_resized(cluster: TestCluster) -> None:
    ends: dict[int, int | None] = {0: 0, 3: 0}
    programs = Programs(cluster, by_index(ends))
    await cluster.client.create(JOBS, a_job(parallelism=4, completions=4, completionMode="Indexed"))
    await cluster.one(JOBS, "work", lambda job: job["status"].get("completedIndexes") == "0,3")
    smaller = {"spec": {"parallelism": 2, "completions": 2}}
    await cluster.client.patch(JOBS, "work", smaller, "test")
    found = await cluster.one(JOBS, "work", lambda job: job["status"].get("completedIndexes") == "0")
    assert found["status"]["succeeded"] == 1
    ends[1] = 0
    programs.again()
    status = (await ended(cluster))["status"]
    assert (status["completedIndexes"], status["succeeded"], status.get("failed")) == ("0,1", 2, None)


async def test_a_pod_that_is_deleted_is_replaced_and_counts_as_failed(cluster: TestCluster) -> None:
    ends: list[int | None] = [None]
    programs = Programs(cluster, lambda pod: ends[0])
    await cluster.client.create(JOBS, a_job())
    (pod,) = await until_running(cluster, 1)
    await cluster.client.delete(PODS, pod["metadata"]["name"], "test")
    await cluster.gone(PODS, pod["metadata"]["name"])
    await until_running(cluster, 1)
    ends[0] = 0
    programs.again()
    status = (await ended(cluster))["status"]
    assert (status["succeeded"], status["failed"]) == (1, 1)


async def test_with_only_failed_pods_replaced_the_new_one_waits_for_the_old_to_end(
    cluster: TestCluster,
) -> None:
    Programs(cluster, runs(None))
    cluster.kubelet.hold = True
    await cluster.client.create(JOBS, a_job(podReplacementPolicy="Failed"))
    (pod,) = await until_running(cluster, 1)
    await cluster.client.delete(PODS, pod["metadata"]["name"], "test")
    found = await cluster.one(JOBS, "work", lambda job: job["status"].get("terminating") == 1)
    assert {"active", "failed"}.isdisjoint(found["status"])
    assert len(await pods_of(cluster)) == 1
    await cluster.kubelet.report(pod, ready=False, phase="Failed")
    await cluster.one(JOBS, "work", lambda job: job["status"].get("failed") == 1)
    cluster.kubelet.release()
    await until_running(cluster, 1)


async def test_another_controllers_job_is_left_alone(cluster: TestCluster) -> None:
    await cluster.client.create(JOBS, a_job("foreign", managedBy="example.com/queue"))
    Programs(cluster, runs())
    await cluster.client.create(JOBS, a_job())
    await ended(cluster)
    foreign = await cluster.client.get(JOBS, "foreign", "test")
    assert not foreign.get("status")


async def test_a_job_adopts_matching_pods_and_lets_go_of_others(cluster: TestCluster) -> None:
    Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job())
    (pod,) = await until_running(cluster, 1)
    name = pod["metadata"]["name"]
    await cluster.client.patch(PODS, name, {"metadata": {"ownerReferences": None}}, "test")
    found = await cluster.one(PODS, name, lambda pod: controller_of(pod) is not None and facts.tracked(pod))
    labels = dict.fromkeys(found["metadata"]["labels"])
    await cluster.client.patch(PODS, name, {"metadata": {"labels": labels}}, "test")
    released = await cluster.one(PODS, name, lambda pod: controller_of(pod) is None)
    assert not facts.tracked(released)
    await until_running(cluster, 2)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_a_job_is_deleted_with_or_without_its_pods(cluster: TestCluster, policy: str) -> None:
    Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job(parallelism=2))
    await until_running(cluster, 2)
    await cluster.client.delete(JOBS, "work", "test", propagation=policy)
    await cluster.gone(JOBS, "work")
    if policy == "Orphan":
        left = await cluster.until(PODS, lambda pods: not any(facts.tracked(pod) for pod in pods))
        assert len(left) == 2
        assert not any(controller_of(pod) or deleting(pod) for pod in left)
    else:
        await cluster.until(PODS, lambda pods: not pods)


async def test_a_namespace_with_a_running_job_can_be_deleted(cluster: TestCluster) -> None:
    Programs(cluster, runs(None))
    await cluster.client.create(JOBS, a_job(parallelism=2))
    await until_running(cluster, 2)
    await cluster.client.delete(NAMESPACES, "test")
    await cluster.gone(NAMESPACES, "test", "")
    assert await pods_of(cluster) == []


async def test_a_finalizer_whose_job_is_gone_goes_too(cluster: TestCluster) -> None:
    stray = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stray", "namespace": "test", "finalizers": [facts.TRACKING]},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    await cluster.client.create(PODS, stray)
    await cluster.one(PODS, "stray", lambda pod: not facts.tracked(pod))


async def test_a_quota_that_is_hit_halfway_is_told_and_gone_on_from(cluster: TestCluster) -> None:
    allowed = 3

    def refuse(resource: Resource) -> Exception | None:
        nonlocal allowed
        if resource != PODS:
            return None
        allowed -= 1
        return forbidden("pods", "", "exceeded quota: small") if allowed in range(-4, 0) else None

    cluster.gate.refuse = refuse  # type: ignore[assignment]
    Programs(cluster, runs())
    await cluster.client.create(JOBS, a_job(completions=8, parallelism=8))
    assert (await ended(cluster))["status"]["succeeded"] == 8
    assert len(await pods_of(cluster)) == 8
    events = await reasons(cluster, "FailedCreate")
    assert any(
        event["message"] == "Error creating: pods is forbidden: exceeded quota: small" for event in events
    )


async def test_controllers_that_die_again_and_again_count_every_pod_once(cluster: TestCluster) -> None:
    choice = random.Random(7)
    programs = Programs(cluster, lambda pod: int(choice.random() < 0.3))
    await cluster.client.create(JOBS, a_job(completions=25, parallelism=6, backoffLimit=999))
    for _ in range(6):
        await asyncio.sleep(choice.random() * 0.15)
        await cluster.stop_controllers()
        await cluster.start_controllers()
    status = (await ended(cluster))["status"]
    codes = list(programs.ended.values())
    assert status["succeeded"] == codes.count(0)
    assert status.get("failed", 0) == codes.count(1)
    assert codes.count(0) >= 25
    assert not any(facts.tracked(pod) for pod in await pods_of(cluster))
