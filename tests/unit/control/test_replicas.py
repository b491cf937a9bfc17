from __future__ import annotations

import pytest

from podium.api.types import Obj
from podium.api.types.errors import forbidden
from podium.api.types.meta import condition, controller_of
from podium.api.types.resources import EVENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, Resource

from .cluster import TestCluster
from .objects import LABELS, pod, replica_set, template

CONTROLLER = {
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "metadata": {"name": "web", "namespace": "test"},
    "spec": {"replicas": 2, "selector": LABELS, "template": template()},
}
KINDS = pytest.mark.parametrize(
    ("resource", "owner"), [(REPLICA_SETS, replica_set(2)), (REPLICATION_CONTROLLERS, CONTROLLER)]
)


def available(count: int) -> object:
    return lambda obj: (obj.get("status") or {}).get("availableReplicas", 0) == count


def owned(pods: list[Obj]) -> list[Obj]:
    return [entry for entry in pods if controller_of(entry)]


@KINDS
async def test_so_many_pods_as_asked_for_are_made_from_the_template(
    cluster: TestCluster, resource: Resource, owner: Obj
) -> None:
    await cluster.client.create(resource, owner)
    found = await cluster.one(resource, "web", available(2))  # type: ignore[arg-type]
    assert found["status"]["readyReplicas"] == found["status"]["fullyLabeledReplicas"] == 2
    assert found["status"]["replicas"] == 2
    for entry in (await cluster.client.list(PODS, "test")).items:
        assert entry["metadata"]["name"].startswith("web-")
        reference = controller_of(entry) or {}
        assert (reference["kind"], reference["uid"]) == (resource.kind, found["metadata"]["uid"])
        assert reference["blockOwnerDeletion"]
    events = await cluster.until(
        EVENTS, lambda objects: sum(event["reason"] == "SuccessfulCreate" for event in objects) == 2
    )
    assert any(event["message"].startswith("Created pod: web-") for event in events)


@KINDS
async def test_a_pod_that_goes_or_fails_is_replaced(
    cluster: TestCluster, resource: Resource, owner: Obj
) -> None:
    await cluster.client.create(resource, owner)
    await cluster.one(resource, "web", available(2))  # type: ignore[arg-type]
    first, second = (await cluster.client.list(PODS, "test")).items
    await cluster.client.delete(PODS, first["metadata"]["name"], "test")
    await cluster.kubelet.report(second, ready=False, phase="Failed")
    pods = await cluster.until(PODS, lambda pods: len(pods) == 3)
    assert first["metadata"]["uid"] not in {entry["metadata"]["uid"] for entry in pods}
    await cluster.one(resource, "web", available(2))  # type: ignore[arg-type]


@KINDS
async def test_a_pod_relabelled_is_let_go_and_replaced(
    cluster: TestCluster, resource: Resource, owner: Obj
) -> None:
    await cluster.client.create(resource, owner)
    await cluster.one(resource, "web", available(2))  # type: ignore[arg-type]
    stray = (await cluster.client.list(PODS, "test")).items[0]["metadata"]["name"]
    await cluster.client.patch(PODS, stray, {"metadata": {"labels": {"app": "debug"}}}, "test")
    pods = await cluster.until(PODS, lambda pods: len(pods) == 3 and len(owned(pods)) == 2)
    assert [entry["metadata"]["name"] for entry in pods if not controller_of(entry)] == [stray]


@KINDS
async def test_a_matching_orphan_is_adopted_instead_of_making_a_pod(
    cluster: TestCluster, resource: Resource, owner: Obj
) -> None:
    await cluster.client.create(PODS, pod("orphan"))
    await cluster.client.create(PODS, pod("stranger", {"app": "other"}))
    await cluster.client.create(resource, owner)
    await cluster.one(resource, "web", available(2))  # type: ignore[arg-type]
    pods = await cluster.until(PODS, lambda pods: len(owned(pods)) == 2)
    assert len(pods) == 3
    assert "orphan" in {entry["metadata"]["name"] for entry in owned(pods)}


async def test_scaling_down_deletes_the_pods_that_serve_nobody_first(cluster: TestCluster) -> None:
    cluster.kubelet.ready = lambda entry: "slow" not in entry["metadata"]["name"]
    await cluster.client.create(PODS, pod("slow"))
    await cluster.client.create(REPLICA_SETS, replica_set(3))
    await cluster.one(REPLICA_SETS, "web", available(2))  # type: ignore[arg-type]
    await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 2}}, "test")
    pods = await cluster.until(PODS, lambda pods: len(pods) == 2)
    assert "slow" not in {entry["metadata"]["name"] for entry in pods}
    await cluster.until(
        EVENTS, lambda objects: any(event["message"] == "Deleted pod: slow" for event in objects)
    )


async def test_pods_that_are_refused_cost_one_request_and_are_told(cluster: TestCluster) -> None:
    asked = 0

    def refuse(resource: Resource) -> Exception | None:
        nonlocal asked
        if resource != PODS or asked >= 1:
            return None
        asked += 1
        return forbidden("pods", "", "exceeded quota: small")

    cluster.gate.refuse = refuse  # type: ignore[assignment]
    failures = []

    def failed(obj: Obj) -> bool:
        if found := condition(obj, "ReplicaFailure"):
            failures.append(found)
        return bool(failures) and (obj.get("status") or {}).get("availableReplicas", 0) == 8

    await cluster.client.create(REPLICA_SETS, replica_set(8))
    found = await cluster.one(REPLICA_SETS, "web", failed)
    assert failures[0]["reason"] == "FailedCreate"
    assert "exceeded quota: small" in failures[0]["message"]
    assert condition(found, "ReplicaFailure") is None
    events = await cluster.until(
        EVENTS, lambda objects: any(event["reason"] == "FailedCreate" for event in objects)
    )
    message = next(event["message"] for event in events if event["reason"] == "FailedCreate")
    assert message == "Error creating: pods is forbidden: exceeded quota: small"


async def test_a_pod_counts_as_available_when_it_has_been_ready_long_enough(cluster: TestCluster) -> None:
    await cluster.client.create(REPLICA_SETS, replica_set(1, minReadySeconds=3600))
    found = await cluster.one(
        REPLICA_SETS, "web", lambda obj: (obj.get("status") or {}).get("readyReplicas") == 1
    )
    assert "availableReplicas" not in found["status"]
    await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"minReadySeconds": 0}}, "test")
    await cluster.one(REPLICA_SETS, "web", available(1))  # type: ignore[arg-type]
