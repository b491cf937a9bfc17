from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.api.types.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    POD_DISRUPTION_BUDGETS,
    STATEFUL_SETS,
)
from podium.api.types.resources import PODS as PODS_RESOURCE
from podium.control.disruptions.budgets import (
    Unknown,
    Workload,
    Workloads,
    failed,
    next_expiry,
    overdue,
    status,
)
from podium.control.disruptions.stale import announced

from .cluster import TestCluster
from .objects import LABELS, daemon_set, deployment, pod, stateful_set

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def budget(**spec: Any) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "test", "generation": 3},
        "spec": {"selector": {"matchLabels": LABELS}, **spec},
    }


def running(name: str, *, ready: bool = True, owner: str = "set") -> Obj:
    made = pod(name)
    if owner:
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner}
        made["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
    made["status"] = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return made


five: Workloads = {"set": Workload("set", 5)}


PODS = [running("a"), running("b"), running("c"), running("d"), running("e", ready=False)]


@pytest.mark.parametrize(
    ("spec", "desired", "allowed"),
    [
        ({"minAvailable": 3}, 3, 1),
        ({"minAvailable": 9}, 9, 0),
        ({"minAvailable": "50%"}, 3, 1),
        ({"maxUnavailable": 2}, 3, 1),
        ({"maxUnavailable": "30%"}, 3, 1),
        ({"maxUnavailable": 9}, 0, 4),
        ({}, 1, 3),
    ],
)
def test_a_budget_allows_what_the_healthy_pods_exceed_it_by(spec: Obj, desired: int, allowed: int) -> None:
    found = status(budget(**spec), PODS, five, NOW)
    assert (found["desiredHealthy"], found["currentHealthy"], found["disruptionsAllowed"]) == (
        desired, 4, allowed,
    )  # fmt: skip
    assert (found["expectedPods"], found["observedGeneration"]) == (5, 3)
    assert found["conditions"][0]["status"] == str(allowed > 0)


def test_pods_without_a_controller_count_only_where_pods_are_counted() -> None:
    alone = [running("a", owner=""), running("b", owner="")]
    assert status(budget(minAvailable=1), alone, five, NOW)["disruptionsAllowed"] == 1
    assert status(budget(maxUnavailable=1), alone, five, NOW)["disruptionsAllowed"] == 0


def test_an_evicted_pod_is_missing_until_it_goes_or_two_minutes_have_passed() -> None:
    entry = budget(minAvailable=3)
    recent, old = timestamp(NOW - timedelta(seconds=20)), timestamp(NOW - timedelta(minutes=3))
    entry["status"] = {"disruptedPods": {"a": recent, "b": old, "gone": recent}}
    found = status(entry, PODS, five, NOW)
    assert found["disruptedPods"] == {"a": recent}
    assert (found["currentHealthy"], found["disruptionsAllowed"]) == (3, 0)
    assert next_expiry(found, NOW) == 100.0


def test_a_budget_that_cannot_be_told_allows_nothing() -> None:
    with pytest.raises(Unknown, match='found no controllers for pod "a"'):
        status(budget(maxUnavailable=1), PODS, {"set": None}, NOW)
    entry = {**budget(maxUnavailable=1), "status": {"disruptionsAllowed": 2, "expectedPods": 5}}
    found = failed(entry, "why", NOW)
    assert (found["disruptionsAllowed"], found["expectedPods"]) == (0, 5)
    assert found["conditions"][0]["reason"] == "SyncFailed"


async def test_a_budgets_status_follows_its_pods_and_their_deployment(cluster: TestCluster) -> None:
    await cluster.client.create(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=1))
    await cluster.client.create(DEPLOYMENTS, deployment(3))
    await cluster.one(POD_DISRUPTION_BUDGETS, "web", lambda obj: obj["status"]["disruptionsAllowed"] == 1)
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, "test")
    found = await cluster.one(
        POD_DISRUPTION_BUDGETS,
        "web",
        lambda obj: obj["status"]["expectedPods"] == 2 and obj["status"]["currentHealthy"] == 2,
    )
    assert found["status"]["desiredHealthy"] == 1


def test_two_sets_of_one_deployment_are_counted_once() -> None:
    both: Workloads = {"set": Workload("deployment", 5), "next": Workload("deployment", 5)}
    found = status(budget(maxUnavailable="20%"), [*PODS, running("f", owner="next")], both, NOW)
    assert (found["expectedPods"], found["desiredHealthy"], found["disruptionsAllowed"]) == (5, 4, 1)


def test_an_evicted_pod_that_stays_is_told_of() -> None:
    entry = budget(minAvailable=1)
    entry["status"] = {"disruptedPods": {"a": timestamp(NOW - timedelta(minutes=3))}}
    assert overdue(entry, PODS, NOW) == [PODS[0]]


async def test_stateful_sets_scale_too_and_what_does_not_scale_is_told_of(cluster: TestCluster) -> None:
    await cluster.client.create(POD_DISRUPTION_BUDGETS, budget(maxUnavailable="50%"))
    await cluster.client.create(STATEFUL_SETS, stateful_set(2))
    await cluster.one(
        POD_DISRUPTION_BUDGETS,
        "web",
        lambda obj: obj["status"]["expectedPods"] == 2 and obj["status"]["disruptionsAllowed"] == 1,
    )
    await cluster.client.create(DAEMON_SETS, daemon_set(name="each"))
    found = await cluster.one(
        POD_DISRUPTION_BUDGETS,
        "web",
        lambda obj: obj["status"]["conditions"][0]["reason"] == "SyncFailed",
    )
    assert found["status"]["conditions"][0]["message"] == (
        "daemonsets.apps does not implement the scale subresource"
    )


def test_only_a_disruption_that_was_announced_and_did_not_come_is_taken_back() -> None:
    pod = running("a")
    assert announced(pod) is None
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    pod["status"]["conditions"].append({**target, "lastTransitionTime": timestamp(NOW)})
    assert announced(pod) == NOW
    pod["metadata"]["deletionTimestamp"] = timestamp(NOW)
    assert announced(pod) is None


async def test_pods_without_an_owner_are_told_of(cluster: TestCluster) -> None:
    await cluster.client.create(PODS_RESOURCE, pod("alone"))
    await cluster.client.create(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=1))
    await cluster.until(EVENTS, lambda events: any(event["reason"] == "UnmanagedPods" for event in events))
