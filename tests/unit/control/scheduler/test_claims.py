"""Pods with claims: which nodes can have them, and what becomes of claims that are not bound yet."""

from __future__ import annotations

from typing import Any

from podium.control.scheduler.decide import Decider, Decision, Rejection
from podium.control.scheduler.needs import Needs
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.storage import Binding, KnownStorage, VolumePlan

from .build import needs, node, picture, place

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


def claim(
    name: str = "data", *, size: str = "1Gi", storage_class: str = "slow", **more: Any
) -> dict[str, Any]:
    annotations: dict[str, str] = more.pop("annotations", {})
    spec = {
        "accessModes": more.pop("modes", ["ReadWriteOnce"]),
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage_class,
        **more,
    }
    if "volumeName" in spec:
        annotations = {**annotations, "pv.kubernetes.io/bind-completed": "yes"}
    meta = {"name": name, "namespace": "default", "uid": f"claim-{name}", "annotations": annotations}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}


def volume(
    name: str, *, on: str = "", size: str = "1Gi", storage_class: str = "slow", **more: Any
) -> dict[str, Any]:
    labels = more.pop("labels", {})
    spec = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        **more,
    }
    if on:
        expression = {"key": HOST, "operator": "In", "values": [on]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"phase": "Available"},
    }


def storage_class(name: str = "slow", *, mode: str = "WaitForFirstConsumer", **more: Any) -> dict[str, Any]:
    provisioner = more.pop("provisioner", "kubernetes.io/no-provisioner")
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **more}


def store(*objects: dict[str, Any], csi: dict[str, dict[str, Any]] | None = None) -> KnownStorage:
    claims = {obj["metadata"]["name"]: obj for obj in objects if "resources" in obj.get("spec", {})}
    volumes = {obj["metadata"]["name"]: obj for obj in objects if "capacity" in obj.get("spec", {})}
    classes = {obj["metadata"]["name"]: obj for obj in objects if "provisioner" in obj}
    return KnownStorage(
        claim=lambda namespace, name: claims.get(name) if namespace == "default" else None,
        volume=volumes.get,
        storage_class=classes.get,
        of_class=lambda name: [obj for obj in volumes.values() if obj["spec"]["storageClassName"] == name],
        csi_node=(csi or {}).get,
    )


def wanting(*names: str, pod: str = "p", **spec: Any) -> Needs:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    return needs(pod, volumes=volumes, **spec)


def decided(wanted: Needs, on: Picture, held: KnownStorage) -> Decision:
    decision = Decider(on, storage=held).decide(wanted)
    assert isinstance(decision, Decision), decision.message
    return decision


def refused(wanted: Needs, on: Picture, held: KnownStorage) -> str:
    decision = Decider(on, storage=held).decide(wanted)
    assert isinstance(decision, Rejection)
    return decision.message


def test_what_is_wrong_with_a_claim_is_said_once_for_all_nodes() -> None:
    nodes = picture(node("a"), node("b"))
    deleted = claim("deleted")
    deleted["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    lost = claim("lost", volumeName="gone")
    lost["status"]["phase"] = "Lost"
    immediate = claim("immediate", storage_class="now")
    held = store(deleted, lost, immediate, storage_class("now", mode="Immediate"))
    assert refused(wanting("data"), nodes, held) == (
        '0/2 nodes are available: persistentvolumeclaim "data" not found.'
    )
    assert 'persistentvolumeclaim "deleted" is being deleted.' in refused(wanting("deleted"), nodes, held)
    assert 'persistentvolumeclaim "lost" bound to non-existent persistentvolume "gone".' in refused(
        wanting("lost"), nodes, held
    )
    assert "available: pod has unbound immediate PersistentVolumeClaims." in refused(
        wanting("immediate"), nodes, held
    )
    ephemeral = needs(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert (
        'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-scratch".'
        in refused(ephemeral, nodes, held)
    )


def test_a_bound_claim_draws_the_pod_to_where_its_volume_is() -> None:
    nodes = picture(node("a"), node("b"))
    held = store(claim(volumeName="v"), volume("v", on="b"))
    decision = decided(wanting("data"), nodes, held)
    assert decision == Decision("b", None)
    nodes.remove_node("b")
    assert refused(wanting("data"), nodes, held) == (
        "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
    )


def test_a_volumes_zone_is_respected() -> None:
    nodes = picture(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    held = store(claim(volumeName="v"), volume("v", labels={ZONE: "y__z"}))
    assert decided(wanting("data"), nodes, held).node == "b"
    nodes.remove_node("b")
    assert "1 node(s) had no available volume zone" in refused(wanting("data"), nodes, held)


def test_an_unbound_claim_gets_the_smallest_volume_that_fits_on_the_node() -> None:
    nodes = picture(node("a"), node("b"))
    held = store(
        claim(size="2Gi"),
        storage_class(),
        volume("small", on="a"),
        volume("big", on="b", size="10Gi"),
        volume("right", on="b", size="2Gi"),
    )
    assert decided(wanting("data"), nodes, held) == Decision(
        "b", VolumePlan("b", (Binding("right", "default/data"),), ())
    )


def test_two_claims_do_not_get_the_same_volume() -> None:
    nodes = picture(node("a"), node("b"))
    held = store(
        claim("one"),
        claim("two"),
        storage_class(),
        volume("v1", on="a"),
        volume("v2", on="b"),
        volume("v3", on="b"),
    )
    decision = decided(wanting("one", "two"), nodes, held)
    assert decision.volumes is not None
    assert {binding.volume for binding in decision.volumes.bindings} == {"v2", "v3"}


def test_a_volume_that_is_promised_to_another_is_not_given_away_again() -> None:
    nodes = picture(node("a"))
    held = store(claim("one"), claim("two"), storage_class(), volume("v", on="a"))
    plan = decided(wanting("one"), nodes, held).volumes
    assert plan is not None
    held.promise(plan)
    assert "1 node(s) didn't find available persistent volumes to bind" in refused(
        wanting("two"), nodes, held
    )
    held.release(plan)
    assert decided(wanting("two"), nodes, held).node == "a"


def test_a_volume_that_names_its_claim_is_taken() -> None:
    nodes = picture(node("a"), node("b"))
    reference = {"namespace": "default", "name": "data"}
    held = store(claim(), storage_class(), volume("other", on="a"), volume("v", on="b", claimRef=reference))
    assert decided(wanting("data", nodeSelector={HOST: "b"}), nodes, held).volumes == VolumePlan(
        "b", (Binding("v", "default/data"),), ()
    )


def test_modes_selectors_and_access_modes_have_to_match() -> None:
    nodes = picture(node("a"))
    for wanted in (
        claim(volumeMode="Block"),
        claim(selector={"matchLabels": {"disk": "ssd"}}),
        claim(modes=["ReadWriteMany"]),
    ):
        assert "didn't find available" in refused(
            wanting("data"), nodes, store(wanted, storage_class(), volume("v"))
        )
    fast = claim(selector={"matchLabels": {"disk": "ssd"}})
    assert (
        decided(
            wanting("data"), nodes, store(fast, storage_class(), volume("v", labels={"disk": "ssd"}))
        ).node
        == "a"
    )


def test_a_claim_without_a_volume_is_provisioned_on_the_chosen_node() -> None:
    nodes = picture(node("a"))
    held = store(claim(), storage_class(provisioner="podium.io/local"))
    assert decided(wanting("data"), nodes, held).volumes == VolumePlan("a", (), ("default/data",))


def test_a_claim_that_is_being_provisioned_keeps_its_node() -> None:
    nodes = picture(node("a"), node("b"))
    chosen = claim(annotations={"volume.kubernetes.io/selected-node": "b"})
    held = store(chosen, storage_class(provisioner="podium.io/local"))
    assert decided(wanting("data"), nodes, held).node == "b"
    other = store(claim(), storage_class(provisioner="podium.io/local"))
    other.promise(VolumePlan("b", (), ("default/data",)))
    assert decided(wanting("data"), nodes, other).node == "b"


def test_a_class_may_be_for_some_topologies_only() -> None:
    nodes = picture(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    terms = [{"matchLabelExpressions": [{"key": ZONE, "values": ["y"]}]}]
    held = store(claim(), storage_class(provisioner="podium.io/local", allowedTopologies=terms))
    assert decided(wanting("data"), nodes, held).node == "b"


def test_a_claim_for_one_pod_only_is_refused_to_a_second() -> None:
    nodes = picture(node("a"), node("b"))
    held = store(claim(volumeName="v", modes=["ReadWriteOncePod"]), volume("v"))
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    place(nodes, "first", "a", volumes=volumes)
    assert refused(wanting("data"), nodes, held) == (
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod"
        " access mode already in-use by another pod."
    )
    nodes.remove("uid-first")
    assert decided(wanting("data"), nodes, held).node in ("a", "b")


def test_a_driver_limits_how_many_volumes_a_node_has() -> None:
    nodes = picture(node("a"), node("b"))

    def source(handle: str) -> dict[str, Any]:
        return {"csi": {"driver": "disks", "volumeHandle": handle}}

    drivers = [{"name": "disks", "allocatable": {"count": 1}}]
    held = store(
        claim("one", volumeName="v1"),
        claim("two", volumeName="v2"),
        volume("v1", **source("1")),
        volume("v2", **source("2")),
        csi={name: {"spec": {"drivers": drivers}} for name in "ab"},
    )
    place(nodes, "first", "a", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "one"}}])
    assert decided(wanting("two"), nodes, held).node == "b"
    assert decided(wanting("one", nodeSelector={HOST: "a"}), nodes, held).node == "a"
    nodes.remove_node("b")
    assert "1 node(s) exceed max volume count" in refused(wanting("two"), nodes, held)
