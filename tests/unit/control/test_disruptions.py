from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.api.types.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS
from podium.control.disruptions.budgets import Unknown, failed, next_expiry, status

from .cluster import TestCluster
from .objects import LABELS, deployment, pod

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


def five(pod: Obj, owner: Obj) -> int:
    return 5


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
    with pytest.raises(Unknown, match="pod a"):
        status(budget(maxUnavailable=1), PODS, lambda pod, owner: None, NOW)
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
