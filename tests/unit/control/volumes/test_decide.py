"""What is decided about claims and volumes, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types import volume_matching as matching
from podium.api.types.storage import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, is_doomed
from podium.control.volumes import claims, releases
from podium.control.volumes.expander import resizing, wants_more

from .build import claim, storage_class, volume

GOING = {"deletionTimestamp": "2030-01-01T00:00:00Z"}
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def made(obj: Obj, uid: str = "u1", phase: str = "Available", **status: Any) -> Obj:
    obj["metadata"] |= {"uid": uid, "resourceVersion": "7"}
    obj["status"] = {"phase": phase, **status}
    return obj


def a_claim(uid: str = "u1", **fields: Any) -> Obj:
    return made(claim(**fields), uid, "Pending")


def reference(uid: str = "u1", name: str = "data") -> Obj:
    return {"namespace": "test", "name": name} | ({"uid": uid} if uid else {})


def seen(
    *candidates: Obj, named: Obj | None = None, classes: tuple[Obj, ...] = (), waiting: Any = ()
) -> claims.Seen:
    return claims.Seen(named, candidates, {entry["metadata"]["name"]: entry for entry in classes}, waiting)


# --- which volume fits


def test_the_smallest_volume_that_is_large_enough_is_taken() -> None:
    volumes = [made(volume(f"v{size}", f"{size}Gi")) for size in (5, 1, 2, 3)]
    found = matching.smallest(a_claim(size="2Gi"), volumes)
    assert found is not None
    assert found["metadata"]["name"] == "v2"


@pytest.mark.parametrize(
    "other",
    [
        volume(size="999Mi"),
        volume(storageClassName="slow"),
        volume(accessModes=["ReadOnlyMany"]),
        volume(volumeMode="Block"),
        volume(claimRef=reference("u2", "other")),
        volume(metadata={"deletionTimestamp": "2030-01-01T00:00:00Z"}),
        volume(volumeAttributesClassName="gold"),
    ],
    ids=["small", "class", "modes", "mode", "taken", "deleting", "attributes"],
)
def test_a_volume_that_lacks_something_is_not_taken(other: Obj) -> None:
    assert matching.smallest(a_claim(), [made(other)]) is None


def test_a_volume_that_is_not_yet_available_is_not_taken() -> None:
    assert matching.smallest(a_claim(), [made(volume(), phase="Pending")]) is None


def test_a_selector_chooses_by_labels() -> None:
    labelled = made(volume("b", metadata={"labels": {"tier": "gold"}}))
    wanting = a_claim(selector={"matchLabels": {"tier": "gold"}})
    assert matching.smallest(wanting, [made(volume("a")), labelled]) is labelled


def test_a_reserved_volume_goes_before_a_smaller_one() -> None:
    reserved = made(volume("big", "9Gi", claimRef=reference("")))
    assert matching.smallest(a_claim(), [made(volume("small")), reserved]) is reserved


def test_a_volume_out_of_reach_of_the_node_is_not_taken() -> None:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-a"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    local = made(volume(nodeAffinity=affinity))
    assert matching.smallest(a_claim(), [local], {"kubernetes.io/hostname": "node-b"}) is None
    assert matching.smallest(a_claim(), [local], {"kubernetes.io/hostname": "node-a"}) is local


def test_without_a_node_fewer_access_modes_go_first_with_one_the_smaller() -> None:
    narrow = made(volume("narrow", "5Gi"))
    wide = made(volume("wide", "1Gi", accessModes=["ReadWriteOnce", "ReadOnlyMany"]))
    assert matching.smallest(a_claim(), [wide, narrow]) is narrow
    assert matching.smallest(a_claim(), [wide, narrow], {}) is wide
    assert matching.smallest(a_claim(), [wide, narrow], {}, taken=["wide"]) is narrow


# --- claims


def test_a_claim_of_an_immediate_class_is_provisioned_for() -> None:
    step = claims.decide(a_claim(storageClassName="fast"), seen(classes=(storage_class(),)))
    assert isinstance(step, claims.Provision)
    assert step.told.reason == "ExternalProvisioning"
    assert "external provisioner 'local.podium.io'" in step.told.message


@pytest.mark.parametrize(
    ("waiting", "reason", "message"),
    [
        ((), "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        (("web",), "WaitForPodScheduled", "waiting for pod web to be scheduled"),
        (("a", "b"), "WaitForPodScheduled", "waiting for pods a,b to be scheduled"),
    ],
)
def test_a_claim_waits_for_its_consumer(waiting: Any, reason: str, message: str) -> None:
    late = storage_class(mode="WaitForFirstConsumer")
    free = made(volume(storageClassName="fast"))
    step = claims.decide(a_claim(storageClassName="fast"), seen(free, classes=(late,), waiting=waiting))
    assert step == claims.Wait(claims.Told("Normal", reason, message))


def test_a_claim_whose_node_is_chosen_is_provisioned_for() -> None:
    late = storage_class(mode="WaitForFirstConsumer")
    chosen = a_claim(storageClassName="fast", annotations={SELECTED_NODE: "node-a"})
    assert isinstance(claims.decide(chosen, seen(classes=(late,))), claims.Provision)


def test_a_claim_without_a_class_gets_the_newest_default_later() -> None:
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    old, new = (
        storage_class(name, metadata={"annotations": mark, "creationTimestamp": f"2030-01-0{day}T00:00:00Z"})
        for day, name in enumerate(("old", "new"), 1)
    )
    assert claims.decide(a_claim(), seen(classes=(old, new))) == claims.AssignClass("new")
    assert claims.decide(a_claim(storageClassName=""), seen(classes=(old, new))) == claims.Wait(
        claims.Told("Normal", "FailedBinding", claims.NO_CLASS)
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", 'storageclass.storage.k8s.io "gone" not found'),
        ("none", "no volume plugin matched name: kubernetes.io/no-provisioner"),
    ],
)
def test_a_class_that_provisions_nothing_is_told(name: str, message: str) -> None:
    static = storage_class("none", provisioner="kubernetes.io/no-provisioner")
    step = claims.decide(a_claim(storageClassName=name), seen(classes=(static,)))
    assert step == claims.Wait(claims.Told("Warning", "ProvisioningFailed", message))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (volume(size="1Mi"), 'Cannot bind to requested volume "pv": requested PV is too small'),
        (
            volume(storageClassName="x"),
            'Cannot bind to requested volume "pv": storageClassName does not match',
        ),
        (volume(volumeMode="Block"), 'Cannot bind to requested volume "pv": incompatible volumeMode'),
        (
            volume(accessModes=["ReadOnlyMany"]),
            'Cannot bind to requested volume "pv": incompatible accessMode',
        ),
        (volume(claimRef=reference("u2", "other")), 'volume "pv" already bound to a different claim.'),
    ],
)
def test_a_claim_that_names_a_volume_it_cannot_have_waits(named: Obj, message: str) -> None:
    step = claims.decide(a_claim(volumeName="pv"), seen(named=made(named)))
    assert isinstance(step, claims.Wait)
    assert step.told is not None
    assert step.told.message == message


def test_a_bound_claim_whose_volume_is_gone_or_anothers_is_lost() -> None:
    complete = a_claim(volumeName="pv", annotations={BIND_COMPLETED: "yes"})
    for named, reason in ((None, "ClaimLost"), (made(volume(claimRef=reference("u2"))), "ClaimMisbound")):
        step = claims.decide(complete, seen(named=named))
        assert isinstance(step, claims.Lose)
        assert step.told.reason == reason


def test_a_claim_being_deleted_is_not_bound_any_more() -> None:
    going = a_claim()
    going["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    assert claims.decide(going, seen(made(volume()))) is None


def test_what_a_user_bound_does_not_say_that_the_controller_did() -> None:
    mine = claims.bound_claim(a_claim(volumeName="pv"), made(volume()))
    assert mine is not None
    assert mine["metadata"]["annotations"] == {BIND_COMPLETED: "yes"}
    found = claims.bound_claim(a_claim(), made(volume()))
    assert found is not None
    assert BOUND_BY_CONTROLLER in found["metadata"]["annotations"]
    reserved = releases.bound_volume(made(volume(claimRef=reference(""))), a_claim())
    assert reserved is not None
    assert BOUND_BY_CONTROLLER not in reserved["metadata"].get("annotations", {})


# --- volumes


def test_a_volume_whose_claim_is_gone_is_released_and_then_reclaimed() -> None:
    kept = made(volume(claimRef=reference()), phase="Bound")
    assert releases.decide(kept, None) == releases.Phase("Released")
    assert releases.decide({**kept, "status": {"phase": "Released"}}, None) == releases.Phase("Released")


@pytest.mark.parametrize(
    ("policy", "reason"), [("Recycle", "VolumeFailedRecycle"), ("Delete", "VolumeFailedDelete")]
)
def test_a_volume_that_nobody_can_reclaim_has_failed(policy: str, reason: str) -> None:
    spec = {"claimRef": reference(), "persistentVolumeReclaimPolicy": policy}
    step = releases.decide(made(volume(**spec), phase="Released"), None)
    assert isinstance(step, releases.Phase)
    assert step.told is not None
    assert (step.name, step.told.reason) == ("Failed", reason)


def test_a_volume_of_a_claim_that_got_another_is_free_again() -> None:
    other = a_claim(volumeName="other")
    taken = volume(metadata={"annotations": {BOUND_BY_CONTROLLER: "yes"}}, claimRef=reference())
    assert releases.decide(made(taken), other) == releases.Unbind()
    assert "claimRef" not in releases.unbound_volume(taken)["spec"]
    reserved = releases.unbound_volume(volume(claimRef=reference()))
    assert reserved["spec"]["claimRef"] == {"namespace": "test", "name": "data"}


def test_a_volume_of_the_wrong_mode_is_told_to_both() -> None:
    step = releases.decide(made(volume(volumeMode="Block", claimRef=reference())), a_claim())
    assert isinstance(step, releases.Mismatch)
    assert step.claim.message == (
        'Cannot bind PersistentVolume "pv" to requested PersistentVolumeClaim due to incompatible volumeMode.'
    )


@pytest.mark.parametrize(
    ("phase", "spec", "meta", "doomed"),
    [
        ("Released", {"claimRef": reference()}, {}, True),
        ("Released", {}, {}, False),
        ("Bound", {"claimRef": reference()}, GOING, False),
        ("Available", {}, GOING, True),
        ("Pending", {"claimRef": reference()}, GOING, True),
        ("Released", {"claimRef": reference(), "persistentVolumeReclaimPolicy": "Retain"}, GOING, False),
    ],
    ids=["released", "just freed", "in use", "nobody's", "never bound", "retained"],
)
def test_data_goes_with_its_claim_or_with_a_volume_that_nobody_has(
    phase: str, spec: Obj, meta: Obj, doomed: bool
) -> None:
    fields = {"persistentVolumeReclaimPolicy": "Delete", **spec}
    assert is_doomed(made(volume(metadata=meta, **fields), phase=phase)) is doomed


# --- growing


def grown(request: str, target: str = "", state: str = "", has: str = "1Gi") -> Obj:
    status: Obj = {"capacity": {"storage": has}}
    if target:
        status["allocatedResources"] = {"storage": target}
    if state:
        status["allocatedResourceStatuses"] = {"storage": state}
    return made(claim(size=request), phase="Bound", **status)


def test_a_claim_that_asks_for_more_starts_to_grow_once() -> None:
    assert not wants_more(grown("1Gi"))
    started = resizing(grown("2Gi"), NOW)
    assert started is not None
    assert started["allocatedResources"] == {"storage": "2Gi"}
    assert started["allocatedResourceStatuses"] == {"storage": "ControllerResizeInProgress"}
    assert [entry["type"] for entry in started["conditions"]] == ["Resizing"]
    assert resizing(grown("2Gi", "2Gi", "ControllerResizeInProgress"), NOW) is None


def test_a_request_may_be_lowered_only_once_growing_has_failed() -> None:
    assert resizing(grown("2Gi", "9Gi", "ControllerResizeInProgress"), NOW) is None
    again = resizing(grown("2Gi", "9Gi", "ControllerResizeInfeasible"), NOW)
    assert again is not None
    assert again["allocatedResources"] == {"storage": "2Gi"}


def test_what_failed_is_not_started_again_for_the_same_size() -> None:
    assert resizing(grown("9Gi", "9Gi", "ControllerResizeInfeasible"), NOW) is None
