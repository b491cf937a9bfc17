from __future__ import annotations

import uuid

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.api.types.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SECRETS,
)

from .cluster import TestCluster
from .objects import config_map, deployment, owned_by, replica_set


def names(objects: list[Obj]) -> set[str]:
    return {obj["metadata"]["name"] for obj in objects} - {"kube-root-ca.crt"}


async def create(cluster: TestCluster, name: str, **metadata: object) -> Obj:
    return await cluster.client.create(CONFIG_MAPS, config_map(name, **metadata))


async def test_dependents_go_after_their_last_owner(cluster: TestCluster) -> None:
    one, two = await create(cluster, "one"), await create(cluster, "two")
    await create(cluster, "both", ownerReferences=owned_by(one, two))
    await create(cluster, "only", ownerReferences=owned_by(one))
    await cluster.client.delete(CONFIG_MAPS, "one", "test")
    await cluster.until(CONFIG_MAPS, lambda found: names(found) == {"two", "both"})
    both = await cluster.one(CONFIG_MAPS, "both", lambda obj: len(obj["metadata"]["ownerReferences"]) == 1)
    assert both["metadata"]["ownerReferences"][0]["name"] == "two"
    await cluster.client.delete(CONFIG_MAPS, "two", "test")
    await cluster.until(CONFIG_MAPS, lambda found: not names(found))


async def test_a_chain_of_owners_goes_to_its_end(cluster: TestCluster) -> None:
    first = previous = await create(cluster, "first")
    for name in ("second", "third", "fourth"):
        previous = await create(cluster, name, ownerReferences=owned_by(previous))
    await cluster.client.delete(CONFIG_MAPS, first["metadata"]["name"], "test")
    await cluster.until(CONFIG_MAPS, lambda found: not names(found))


async def test_an_object_whose_owner_never_was_goes_at_once(cluster: TestCluster) -> None:
    ghost = config_map("ghost", uid=str(uuid.uuid4()))
    await create(cluster, "haunted", ownerReferences=owned_by(ghost))
    await cluster.gone(CONFIG_MAPS, "haunted")


async def test_an_owner_made_anew_under_the_same_name_is_another(cluster: TestCluster) -> None:
    owner = await create(cluster, "owner")
    await cluster.client.delete(CONFIG_MAPS, "owner", "test")
    await create(cluster, "owner")
    await create(cluster, "child", ownerReferences=owned_by(owner))
    await cluster.gone(CONFIG_MAPS, "child")


async def test_an_owner_in_another_namespace_does_not_count_and_is_warned_of(cluster: TestCluster) -> None:
    await cluster.namespace("elsewhere")
    owner = await cluster.client.create(CONFIG_MAPS, config_map("far", namespace="elsewhere"))
    await create(cluster, "child", ownerReferences=owned_by(owner))
    await cluster.gone(CONFIG_MAPS, "child")
    await cluster.until(
        EVENTS, lambda found: any(event["reason"] == "OwnerRefInvalidNamespace" for event in found)
    )


async def test_a_cluster_scoped_owner_holds_namespaced_dependents(cluster: TestCluster) -> None:
    owner = await cluster.client.create(NAMESPACES, {"metadata": {"name": "owner"}})
    owner = {**owner, "apiVersion": "v1", "kind": "Namespace"}
    await create(cluster, "held", ownerReferences=owned_by(owner))
    await create(cluster, "marker", ownerReferences=owned_by(config_map("ghost", uid=str(uuid.uuid4()))))
    await cluster.gone(CONFIG_MAPS, "marker")
    assert "held" in names((await cluster.client.list(CONFIG_MAPS, "test")).items)
    await cluster.client.delete(NAMESPACES, "owner")
    await cluster.gone(CONFIG_MAPS, "held")


async def test_an_owner_of_an_unknown_kind_holds_its_dependents(cluster: TestCluster) -> None:
    unknown = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "u"}}
    await create(cluster, "kept", ownerReferences=owned_by(unknown))
    await create(cluster, "marker", ownerReferences=owned_by(config_map("ghost", uid=str(uuid.uuid4()))))
    await cluster.gone(CONFIG_MAPS, "marker")
    assert "kept" in names((await cluster.client.list(CONFIG_MAPS, "test")).items)


async def test_orphaned_dependents_stay_without_their_owner(cluster: TestCluster) -> None:
    owner = await create(cluster, "owner")
    await create(cluster, "child", ownerReferences=owned_by(owner))
    await cluster.client.delete(CONFIG_MAPS, "owner", "test", propagation="Orphan")
    await cluster.gone(CONFIG_MAPS, "owner")
    child = await cluster.client.get(CONFIG_MAPS, "child", "test")
    assert not child["metadata"].get("ownerReferences")


async def test_a_foreground_deletion_ends_with_the_owner(cluster: TestCluster) -> None:
    owner = await create(cluster, "owner")
    await create(
        cluster, "slow", ownerReferences=owned_by(owner, blocks=True), finalizers=["example.com/wait"]
    )
    await create(cluster, "loose", ownerReferences=owned_by(owner), finalizers=["example.com/wait"])
    await cluster.client.delete(CONFIG_MAPS, "owner", "test", propagation="Foreground")
    await cluster.one(CONFIG_MAPS, "slow", deleting)
    await cluster.one(CONFIG_MAPS, "loose", deleting)
    waiting = await cluster.client.get(CONFIG_MAPS, "owner", "test")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    await cluster.client.patch(CONFIG_MAPS, "slow", {"metadata": {"finalizers": None}}, "test")
    await cluster.gone(CONFIG_MAPS, "owner")
    # What does not block is not waited for.
    assert "loose" in names((await cluster.client.list(CONFIG_MAPS, "test")).items)


async def test_a_foreground_deletion_goes_through_all_levels(cluster: TestCluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(2))
    await cluster.until(
        PODS, lambda pods: len([pod for pod in pods if (pod.get("status") or {}).get("podIP")]) == 2
    )
    cluster.kubelet.hold = True
    await cluster.client.delete(DEPLOYMENTS, "web", "test", propagation="Foreground")
    await cluster.until(PODS, lambda pods: len(pods) == 2 and all(map(deleting, pods)))
    (between,) = (await cluster.client.list(REPLICA_SETS, "test")).items
    assert "foregroundDeletion" in between["metadata"]["finalizers"]
    assert deleting(await cluster.client.get(DEPLOYMENTS, "web", "test"))
    cluster.kubelet.release()
    await cluster.gone(DEPLOYMENTS, "web")
    assert (await cluster.client.list(PODS, "test")).items == []


async def test_objects_that_wait_for_one_another_in_a_circle_go(cluster: TestCluster) -> None:
    one = await create(cluster, "one")
    two = await create(cluster, "two", ownerReferences=owned_by(one, blocks=True))
    patch = {"metadata": {"ownerReferences": owned_by(two, blocks=True)}}
    await cluster.client.patch(CONFIG_MAPS, "one", patch, "test")
    await cluster.client.delete(CONFIG_MAPS, "one", "test", propagation="Foreground")
    await cluster.until(CONFIG_MAPS, lambda found: not names(found))


async def test_taking_the_last_living_owner_off_lets_an_object_go(cluster: TestCluster) -> None:
    owner = await create(cluster, "owner")
    ghost = config_map("ghost", uid=str(uuid.uuid4()))
    await create(cluster, "child", ownerReferences=owned_by(owner))
    await cluster.client.patch(
        CONFIG_MAPS, "child", {"metadata": {"ownerReferences": owned_by(ghost)}}, "test"
    )
    await cluster.gone(CONFIG_MAPS, "child")


async def test_an_object_without_owners_is_nobodys_business(cluster: TestCluster) -> None:
    await cluster.client.create(SECRETS, {"metadata": {"name": "free", "namespace": "test"}})
    await cluster.client.create(REPLICA_SETS, replica_set(1))
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    await cluster.client.delete(REPLICA_SETS, "web", "test")
    await cluster.until(PODS, lambda pods: not pods)
    assert (await cluster.client.get(SECRETS, "free", "test"))["metadata"]["name"] == "free"
