"""Claims and volumes against the real API server, with all controllers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    CSI_DRIVERS,
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from podium.api.types.storage import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONER,
    SELECTED_NODE,
    annotation,
    local_node,
    volume_name,
)

from ..cluster import TestCluster
from ..objects import pod as any_pod
from .build import FakeNode, bound, claim, fake_node, in_phase, storage_class, told, user, volume


@pytest.fixture
async def node(cluster: TestCluster) -> AsyncIterator[FakeNode]:
    async with fake_node(cluster.client) as made:
        await cluster.client.create(STORAGE_CLASSES, storage_class())
        yield made


async def create_claim(cluster: TestCluster, obj: Obj) -> Obj:
    return await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, obj)


async def delete_claim(cluster: TestCluster, name: str = "data") -> None:
    await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, name, "test")


async def select(cluster: TestCluster, node: str | None, name: str = "data") -> None:
    patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, name, patch, "test")


# --- by hand


async def test_a_claim_and_a_volume_find_each_other_whichever_is_first(cluster: TestCluster) -> None:
    await create_claim(cluster, claim(storageClassName=""))
    assert (await told(cluster, "FailedBinding"))["message"] == (
        "no persistent volumes available for this claim and no storage class is set"
    )
    await cluster.client.create(PERSISTENT_VOLUMES, volume(size="2Gi"))
    first = await bound(cluster)
    assert first["spec"]["volumeName"] == "pv"
    assert first["status"]["capacity"] == {"storage": "2Gi"}
    assert {BIND_COMPLETED, BOUND_BY_CONTROLLER} <= first["metadata"]["annotations"].keys()
    pv = await in_phase(cluster, "pv", "Bound")
    assert pv["spec"]["claimRef"]["uid"] == first["metadata"]["uid"]
    assert pv["status"]["lastPhaseTransitionTime"]
    await cluster.client.create(PERSISTENT_VOLUMES, volume("next"))
    await in_phase(cluster, "next", "Available")
    await create_claim(cluster, claim("second", storageClassName=""))
    assert (await bound(cluster, "second"))["spec"]["volumeName"] == "next"


async def test_of_many_claims_for_one_volume_exactly_one_gets_it(cluster: TestCluster) -> None:
    for number in range(6):
        await create_claim(cluster, claim(f"c{number}", storageClassName=""))
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await in_phase(cluster, "pv", "Bound")
    await cluster.until(
        PERSISTENT_VOLUME_CLAIMS, lambda claims: any(c["status"]["phase"] == "Bound" for c in claims)
    )
    claims = (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS, "test")).items
    assert sorted(c["status"]["phase"] for c in claims) == ["Bound", *["Pending"] * 5]


async def test_a_reserved_volume_waits_for_its_claim(cluster: TestCluster) -> None:
    reference = {"namespace": "test", "name": "data"}
    reserved = volume("reserved", "9Gi", claimRef=reference)
    await cluster.client.create(PERSISTENT_VOLUMES, reserved)
    await cluster.client.create(PERSISTENT_VOLUMES, volume("small"))
    await in_phase(cluster, "reserved", "Available")
    await in_phase(cluster, "small", "Available")
    await create_claim(cluster, claim("other", storageClassName=""))
    assert (await bound(cluster, "other"))["spec"]["volumeName"] == "small"
    await create_claim(cluster, claim(storageClassName=""))
    assert (await bound(cluster))["spec"]["volumeName"] == "reserved"
    taken = await in_phase(cluster, "reserved", "Bound")
    assert annotation(taken, BOUND_BY_CONTROLLER) is None


async def test_a_retained_volume_is_released_and_free_again_once_somebody_says_so(
    cluster: TestCluster,
) -> None:
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await create_claim(cluster, claim(storageClassName=""))
    await bound(cluster)
    await delete_claim(cluster)
    await in_phase(cluster, "pv", "Released")
    await create_claim(cluster, claim(storageClassName=""))
    await cluster.client.patch(PERSISTENT_VOLUMES, "pv", {"spec": {"claimRef": None}})
    assert (await bound(cluster))["spec"]["volumeName"] == "pv"


async def test_recycling_and_deleting_by_hand_fail_with_an_event(cluster: TestCluster) -> None:
    for policy, reason in (("Recycle", "VolumeFailedRecycle"), ("Delete", "VolumeFailedDelete")):
        name = policy.lower()
        spec = {"persistentVolumeReclaimPolicy": policy, "storageClassName": name}
        await cluster.client.create(PERSISTENT_VOLUMES, volume(name, **spec))
        await create_claim(cluster, claim(name, storageClassName=name))
        await bound(cluster, name)
        await delete_claim(cluster, name)
        failed = await in_phase(cluster, name, "Failed")
        assert (await told(cluster, reason, "default"))["message"] == failed["status"]["message"]


async def test_a_claim_whose_volume_is_taken_away_is_lost(cluster: TestCluster) -> None:
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await create_claim(cluster, claim(storageClassName=""))
    await bound(cluster)
    await cluster.client.delete(PERSISTENT_VOLUMES, "pv")
    held = await in_phase(cluster, "pv", "Bound")
    assert held["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    await cluster.client.patch(PERSISTENT_VOLUMES, "pv", {"metadata": {"finalizers": None}})
    await cluster.one(PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: obj["status"]["phase"] == "Lost")
    assert (await told(cluster, "ClaimLost"))["type"] == "Warning"


# --- protection


async def test_a_claim_in_use_stays_until_its_pod_has_gone(cluster: TestCluster) -> None:
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await create_claim(cluster, claim(storageClassName=""))
    await bound(cluster)
    await cluster.client.create(PODS, {**user(), "spec": {**user()["spec"], "nodeName": "node-a"}})
    await cluster.one(PODS, "web", lambda obj: (obj.get("status") or {}).get("phase") == "Running")
    await delete_claim(cluster)
    going = await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: "deletionTimestamp" in obj["metadata"]
    )
    assert going["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    cluster.kubelet.hold = True
    await cluster.client.delete(PODS, "web", "test")
    await cluster.one(PODS, "web", lambda obj: "deletionTimestamp" in obj["metadata"])
    assert await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "data", "test")
    cluster.kubelet.release()
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "data")
    await in_phase(cluster, "pv", "Released")


async def test_a_volume_that_nobody_has_goes_at_once(cluster: TestCluster) -> None:
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await in_phase(cluster, "pv", "Available")
    await cluster.client.delete(PERSISTENT_VOLUMES, "pv")
    await cluster.gone(PERSISTENT_VOLUMES, "pv", "")


# --- the first storage


async def test_a_new_cluster_has_a_default_class_which_nobody_makes_twice(cluster: TestCluster) -> None:
    made = await cluster.one(STORAGE_CLASSES, "standard", lambda obj: True, "")
    assert (made["volumeBindingMode"], made["reclaimPolicy"]) == ("WaitForFirstConsumer", "Delete")
    assert made["allowVolumeExpansion"] is True
    await cluster.one(CSI_DRIVERS, PROVISIONER, lambda obj: True, "")
    created = await create_claim(cluster, claim())
    assert created["spec"]["storageClassName"] == "standard"
    await cluster.client.delete(STORAGE_CLASSES, "standard")
    await cluster.stop_controllers()
    await cluster.start_controllers()
    await cluster.client.create(PERSISTENT_VOLUMES, volume())
    await in_phase(cluster, "pv", "Available")
    assert (await cluster.client.list(STORAGE_CLASSES)).items == []


async def test_a_claim_made_before_its_class_gets_it_later(cluster: TestCluster) -> None:
    await cluster.one(STORAGE_CLASSES, "standard", lambda obj: True, "")
    await cluster.client.delete(STORAGE_CLASSES, "standard")
    assert "storageClassName" not in (await create_claim(cluster, claim()))["spec"]
    mark = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    await cluster.client.create(STORAGE_CLASSES, storage_class("late", metadata=mark))
    await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: obj["spec"].get("storageClassName") == "late"
    )


# --- provisioned


async def test_an_immediate_claim_is_provisioned_and_deleted_with_its_volume(
    cluster: TestCluster, node: FakeNode
) -> None:
    made = await create_claim(cluster, claim(storageClassName="fast"))
    done = await bound(cluster)
    assert done["spec"]["volumeName"] == volume_name(made)
    await in_phase(cluster, volume_name(made), "Bound")
    await delete_claim(cluster)
    await cluster.gone(PERSISTENT_VOLUMES, volume_name(made), "")


async def test_volumes_are_spread_over_the_nodes(cluster: TestCluster, node: FakeNode) -> None:
    for number in range(4):
        await create_claim(cluster, claim(f"c{number}", storageClassName="fast"))
        await bound(cluster, f"c{number}")
    volumes = (await cluster.client.list(PERSISTENT_VOLUMES)).items
    assert sorted(map(local_node, volumes)) == ["node-a", "node-a", "node-b", "node-b"]


async def test_a_node_without_room_is_passed_over(cluster: TestCluster, node: FakeNode) -> None:
    node.room = {"node-b"}
    made = await create_claim(cluster, claim(storageClassName="fast"))
    await bound(cluster)
    assert local_node(await cluster.client.get(PERSISTENT_VOLUMES, volume_name(made))) == "node-b"


async def test_a_claim_is_placed_where_its_class_allows(cluster: TestCluster, node: FakeNode) -> None:
    expression = {"key": "topology.kubernetes.io/zone", "values": ["zone-2"]}
    zonal = storage_class("zonal", allowedTopologies=[{"matchLabelExpressions": [expression]}])
    await cluster.client.create(STORAGE_CLASSES, zonal)
    made = await create_claim(cluster, claim(storageClassName="zonal"))
    await bound(cluster)
    assert local_node(await cluster.client.get(PERSISTENT_VOLUMES, volume_name(made))) == "node-b"


async def test_a_node_that_is_gone_loses_its_claims(cluster: TestCluster, node: FakeNode) -> None:
    await cluster.client.create(STORAGE_CLASSES, storage_class("late", "WaitForFirstConsumer"))
    await create_claim(cluster, claim(storageClassName="late"))
    await told(cluster, "WaitForFirstConsumer")
    await select(cluster, "node-x")
    await cluster.one(PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: annotation(obj, SELECTED_NODE) is None)
    assert 'node "node-x" not found' in (await told(cluster, "ProvisioningFailed"))["message"]
    await select(cluster, "node-a")
    await bound(cluster)


async def test_a_claim_deleted_while_its_volume_is_made_leaves_no_volume(
    cluster: TestCluster, node: FakeNode
) -> None:
    node.room = set()
    made = await create_claim(cluster, claim(storageClassName="fast"))
    await delete_claim(cluster)
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "data")
    node.room = {"node-a"}
    late = {**made, "metadata": {**made["metadata"], "annotations": {SELECTED_NODE: "node-a"}}}
    late["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] = PROVISIONER
    await node.provision(late)
    await cluster.until(PERSISTENT_VOLUMES, lambda volumes: not volumes, "")


async def test_the_controllers_pick_up_what_they_left(cluster: TestCluster, node: FakeNode) -> None:
    await cluster.stop_controllers()
    made = await create_claim(cluster, claim(storageClassName="fast"))
    await cluster.start_controllers()
    await bound(cluster)
    await cluster.stop_controllers()
    await delete_claim(cluster)
    await cluster.start_controllers()
    await cluster.gone(PERSISTENT_VOLUMES, volume_name(made), "")


# --- growing


async def test_a_bound_claim_starts_to_grow_where_its_class_lets_it(
    cluster: TestCluster, node: FakeNode
) -> None:
    await cluster.client.create(STORAGE_CLASSES, storage_class("grows", allowVolumeExpansion=True))
    for name in ("fast", "grows"):
        await create_claim(cluster, claim(name, storageClassName=name))
        await bound(cluster, name)
    more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    with pytest.raises(StatusError, match="only dynamically provisioned pvc can be resized"):
        await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "fast", more, "test")
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "grows", more, "test")
    growing = await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "grows", lambda obj: "allocatedResources" in obj["status"]
    )
    assert growing["status"]["allocatedResources"] == {"storage": "2Gi"}
    assert growing["status"]["capacity"] == {"storage": "1Gi"}


# --- ephemeral


async def test_an_ephemeral_volume_has_a_claim_that_goes_with_its_pod(
    cluster: TestCluster, node: FakeNode
) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": claim(storageClassName="fast")["spec"]}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    pod = any_pod("web", volumes=volumes)
    made = await cluster.client.create(PODS, pod)
    done = await bound(cluster, "web-scratch")
    assert done["metadata"]["labels"] == {"a": "b"}
    [owner] = done["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], True)
    await cluster.client.delete(PODS, "web", "test")
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
    await cluster.until(PERSISTENT_VOLUMES, lambda found: not found, "")


async def test_a_claim_in_the_way_of_an_ephemeral_volume_is_told(cluster: TestCluster) -> None:
    await create_claim(cluster, claim("web-scratch", storageClassName=""))
    template = {"spec": claim(storageClassName="")["spec"]}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    await cluster.client.create(PODS, any_pod("web", volumes=volumes))
    message = (await told(cluster, "FailedBinding"))["message"]
    events = await cluster.until(
        EVENTS, lambda found: any("ephemeral volume scratch" in event["message"] for event in found)
    )
    texts = [event["message"] for event in events]
    assert (
        "ephemeral volume scratch: PVC test/web-scratch was not created for pod test/web (pod is not owner)"
        in texts
    ), message


async def test_a_deleted_node_frees_the_volumes_that_were_to_go_with_it(
    cluster: TestCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node never comes back to remove what it held."""
    monkeypatch.setattr("podium.control.volumes.local.QUARANTINE", 0.05)
    async with fake_node(cluster.client) as node:
        await cluster.client.create(STORAGE_CLASSES, storage_class())
        node.room = {"node-b"}
        made = await create_claim(cluster, claim(storageClassName="fast"))
        await bound(cluster)
        node.hold = True
        await delete_claim(cluster)
        await in_phase(cluster, volume_name(made), "Released")
        await cluster.client.delete(NODES, "node-b")
        await cluster.gone(PERSISTENT_VOLUMES, volume_name(made), "")
