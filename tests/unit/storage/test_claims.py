"""From a pod's claim to its volume: what has to hold at both ends, in kubelet's words. Then what the
provisioner decides."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types import storage as words
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from podium.storage import persistent
from podium.storage.errors import Unbound
from podium.storage.provisioner import decide
from podium.storage.provisioner.decide import Orphan, Refused
from podium.storage.provisioner.images import MIB

from .claims import NODE, claim, claimed, note, volume
from .pods import UID, pod
from .server import MemoryClient


def unbound(**changes: Any) -> dict[str, Any]:
    made = claim()
    made["metadata"].update(changes.pop("metadata", {}))
    made["spec"].update(changes.pop("spec", {}))
    return {**made, **changes}


NOT_MINE = volume(uid="another")
NO_CLAIM = volume()
del NO_CLAIM["spec"]["claimRef"]


@pytest.mark.parametrize(
    ("stored", "held", "message"),
    [
        (None, None, 'failed to fetch PVC from API server: persistentvolumeclaims "c" not found'),
        (unbound(status={"phase": "Pending"}), None, "PVC is not bound"),
        (unbound(spec={"volumeName": ""}), None, "PVC has empty pvc.Spec.VolumeName"),
        (unbound(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), None, "PVC is being deleted"),
        (unbound(), None, 'failed to fetch PV pvc-1 from API server: persistentvolumes "pvc-1" not found'),
        (
            unbound(),
            NOT_MINE,
            "found PV object pvc-1 but its pv.Spec.ClaimRef.UID another does not point to claim.UID claim-1",
        ),
        (
            unbound(),
            NO_CLAIM,
            "found PV object pvc-1 but it has a nil pv.Spec.ClaimRef "
            "indicating it is not yet bound to the claim",
        ),
    ],
)
async def test_a_claim_is_used_only_when_it_and_its_volume_name_each_other(
    client: MemoryClient, stored: Obj | None, held: Obj | None, message: str
) -> None:
    if stored is not None:
        client.put(PERSISTENT_VOLUME_CLAIMS, stored)
    if held is not None:
        client.put(PERSISTENT_VOLUMES, held)
    with pytest.raises(Unbound) as refused:
        await persistent.resolve(client, pod(claimed()), claimed())
    assert refused.value.message == f"error processing PVC ns/c: {message}"


async def test_an_ephemeral_claim_has_to_be_the_pods_own(client: MemoryClient) -> None:
    made = {"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}
    client.put(PERSISTENT_VOLUME_CLAIMS, claim("p-v"))
    client.put(PERSISTENT_VOLUMES, volume())
    with pytest.raises(Unbound, match=r"^PVC ns/p-v was not created for pod ns/p \(pod is not owner\)$"):
        await persistent.resolve(client, pod(made), made)
    own = claim("p-v")
    own["metadata"]["ownerReferences"] = [{"uid": UID, "controller": True}]
    client.put(PERSISTENT_VOLUME_CLAIMS, own)
    assert (await persistent.resolve(client, pod(made), made)).name == "pvc-1"


@pytest.mark.parametrize(
    ("mode", "field", "use"),
    [
        ("Block", "volumeMounts", {"mountPath": "/x"}),
        ("Filesystem", "volumeDevices", {"devicePath": "/dev/x"}),
    ],
)
async def test_a_volume_is_used_as_what_it_is(
    client: MemoryClient, mode: str, field: str, use: dict[str, str]
) -> None:
    client.put(PERSISTENT_VOLUME_CLAIMS, claim())
    client.put(PERSISTENT_VOLUMES, volume(mode=mode))
    using = pod(claimed(), containers=[{"name": "c", field: [{"name": "v", **use}]}])
    with pytest.raises(Unbound, match=f"^volume v has volumeMode {mode}, but is specified in {field}$"):
        await persistent.resolve(client, using, claimed())


# What the provisioner decides


def waiting(**changes: Any) -> dict[str, Any]:
    """A claim that waits for this node to make its volume."""
    annotations = {words.STORAGE_PROVISIONER: words.PROVISIONER, words.SELECTED_NODE: NODE}
    return {
        "metadata": {
            "name": "c",
            "namespace": "ns",
            "uid": "claim-1",
            "resourceVersion": "7",
            "annotations": {**annotations, **changes.pop("annotations", {})},
            **changes.pop("metadata", {}),
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": {"requests": {"storage": "10Mi"}},
            **changes,
        },
    }


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (waiting(), True),
        (waiting(annotations={words.SELECTED_NODE: "n2"}), False),
        (waiting(annotations={words.STORAGE_PROVISIONER: "other"}), False),
        (waiting(volumeName="pvc-1"), False),
        (waiting(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
    ],
)
def test_a_claim_is_this_nodes_work_when_it_was_chosen_for_it(made: Obj, wanted: bool) -> None:
    assert decide.to_provision(made, NODE) == wanted


@pytest.mark.parametrize(
    ("made", "storage_class", "why"),
    [
        (waiting(), {"parameters": {"color": "red"}}, "unknown parameter 'color' in the StorageClass"),
        (waiting(), {"parameters": {"fsType": "vfat"}}, "unknown fsType 'vfat'"),
        (waiting(accessModes=["ReadWriteMany"]), {}, "access mode ReadWriteMany is not supported"),
        (waiting(dataSource={"kind": "VolumeSnapshot", "name": "s"}), {}, "cannot be made from another"),
    ],
)
def test_what_nobody_here_can_make_is_refused(made: Obj, storage_class: Obj, why: str) -> None:
    with pytest.raises(Refused, match=why):
        decide.wanted(made, storage_class)


def test_a_size_is_whole_mebibytes_and_written_as_it_was_asked_for() -> None:
    assert decide.whole("1500Ki") == 2 * MIB
    assert decide.written(2 * MIB, "1500Ki") == "2Mi"
    assert decide.written(1024 * MIB, "1Gi") == "1Gi"


def test_a_volume_carries_what_its_claim_and_class_say() -> None:
    storage_class = {"reclaimPolicy": "Retain", "mountOptions": ["noatime"], "parameters": {"fsType": "ext4"}}
    made, what = waiting(), decide.wanted(waiting(), storage_class)
    found = decide.volume_for(made, storage_class, decide.note_for(made, storage_class, what), NODE, {})
    assert found["metadata"]["name"] == "pvc-claim-1"
    assert "finalizers" not in found["metadata"]
    spec = found["spec"]
    assert spec["claimRef"]["uid"] == "claim-1"
    assert spec["claimRef"]["resourceVersion"] == "7"
    assert spec["capacity"] == {"storage": "10Mi"}
    assert spec["mountOptions"] == ["noatime"]
    assert spec["persistentVolumeReclaimPolicy"] == "Retain"
    assert spec["csi"]["fsType"] == "ext4"
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == [NODE]


def released(**spec: Any) -> dict[str, Any]:
    made = volume(persistentVolumeReclaimPolicy="Delete", **spec)
    made["metadata"]["annotations"] = {words.PROVISIONED_BY: words.PROVISIONER}
    return {**made, "status": {"phase": "Released"}}


def test_only_a_released_volume_whose_policy_says_so_is_deleted() -> None:
    assert decide.to_delete(released(), NODE)
    assert not decide.to_delete(released(), "n2")
    assert not decide.to_delete({**released(), "status": {"phase": "Bound"}}, NODE)
    retained = released()
    retained["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    assert not decide.to_delete(retained, NODE)
    stranger = released()
    del stranger["metadata"]["annotations"]
    assert not decide.to_delete(stranger, NODE)


def test_the_finalizer_follows_the_reclaim_policy() -> None:
    made = released()
    assert decide.finalizers(made) == [words.PROVISIONER_FINALIZER]
    made["metadata"]["finalizers"] = ["other", words.PROVISIONER_FINALIZER]
    assert decide.finalizers(made) is None
    made["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    assert decide.finalizers(made) == ["other"]


def growing(wanted: str = "64Mi", had: str = "32Mi") -> dict[str, Any]:
    status = {"phase": "Bound", "allocatedResources": {"storage": wanted}, "capacity": {"storage": had}}
    return claim(status=status)


def test_a_claim_that_was_allowed_more_than_it_has_grows() -> None:
    assert decide.growth(volume(), growing(), NODE) == 64 * MIB
    assert decide.growth(volume(), growing(had="64Mi"), NODE) is None
    assert decide.growth(volume(), growing(), "n2") is None
    assert decide.growth(volume(uid="another"), growing(), NODE) is None
    assert decide.growth(volume(), None, NODE) is None


def test_an_image_is_nobodys_only_when_nobody_can_want_it_any_more() -> None:
    here, other = waiting(), waiting(annotations={words.SELECTED_NODE: "n2"})
    fresh, kept = note(), note(committed=True)
    assert decide.is_orphan(fresh, Orphan(None, None), NODE)
    assert decide.is_orphan(kept, Orphan(None, waiting(metadata={"uid": "later"})), NODE)
    assert decide.is_orphan(fresh, Orphan(None, other), NODE)
    assert not decide.is_orphan(fresh, Orphan(None, here), NODE)
    assert not decide.is_orphan(kept, Orphan(None, other), NODE)
    assert not decide.is_orphan(kept, Orphan(volume(), None), NODE)
    assert not decide.is_orphan(note(policy="Retain"), Orphan(None, None), NODE)
