"""What the node has to do about claims and volumes of the built-in provisioner. Pure: the objects are given.

Sources: "Dynamic Volume Provisioning", "Expanding Persistent Volumes Claims"; KEP-1790 (recovery from failed
expansion), KEP-2644 (the finalizer that keeps reclaim policies)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from podium.api.types import Obj, meta, quantity
from podium.api.types import storage as words
from podium.storage.provisioner import filesystems
from podium.storage.provisioner.images import MIB, Note

_FS_PARAMETERS = ("fsType", "csi.storage.k8s.io/fstype")
_MODES = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
INFEASIBLE = "ControllerResizeInfeasible"


class Refused(Exception):
    """What this provisioner does not make, whatever the node."""


def to_provision(claim: Obj, node: str) -> bool:
    """Whether a claim waits for this node to make its volume."""
    return (
        not meta.deleting(claim)
        and not claim["spec"].get("volumeName")
        and words.annotation(claim, words.STORAGE_PROVISIONER) == words.PROVISIONER
        and words.annotation(claim, words.SELECTED_NODE) == node
    )


def to_delete(volume: Obj, node: str) -> bool:
    """Whether the image of a volume that nobody has is to go."""
    if words.local_node(volume) != node or not words.is_doomed(volume):
        return False
    if words.annotation(volume, words.PROVISIONED_BY) != words.PROVISIONER:
        return False
    return not meta.deleting(volume) or words.PROVISIONER_FINALIZER in _finalizers(volume)


def finalizers(volume: Obj) -> list[str] | None:
    """The finalizers a volume should have, None where it has them: the provisioner's keeps the object until
    the image is gone, for as long as the image is to go with it."""
    had = _finalizers(volume)
    deletes = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    if words.annotation(volume, words.PROVISIONED_BY) != words.PROVISIONER:
        return None
    if deletes and words.PROVISIONER_FINALIZER not in had and not meta.deleting(volume):
        return [*had, words.PROVISIONER_FINALIZER]
    if not deletes and words.PROVISIONER_FINALIZER in had:
        return without_finalizer(volume)
    return None


def without_finalizer(volume: Obj) -> list[str]:
    return [name for name in _finalizers(volume) if name != words.PROVISIONER_FINALIZER]


def growth(volume: Obj, claim: Obj | None, node: str) -> int | None:
    """The bytes a bound volume is to have, where its claim waits for more."""
    if claim is None or words.local_node(volume) != node:
        return None
    reference = volume["spec"].get("claimRef") or {}
    bound = claim["spec"].get("volumeName") == volume["metadata"]["name"]
    if not bound or reference.get("uid") != claim["metadata"]["uid"] or meta.deleting(volume):
        return None
    status = claim.get("status") or {}
    wanted = (status.get("allocatedResources") or {}).get("storage")
    had = (status.get("capacity") or {}).get("storage")
    if status.get("phase") != "Bound" or wanted is None or had is None:
        return None
    return whole(wanted) if quantity.value(wanted) > quantity.value(had) else None


def whole(size: str) -> int:
    """Bytes, in whole MiB."""
    return -(-quantity.value(size) // MIB) * MIB


def written(size: int, asked: str) -> str:
    """`size` bytes as a quantity: as it was asked for where that is the same."""
    return asked if quantity.value(asked) == size else f"{size // MIB}Mi"


class Wanted(NamedTuple):
    """What a claim gets. `fs_type` is "" for a block volume."""

    size: int
    fs_type: str


def wanted(claim: Obj, storage_class: Obj) -> Wanted:
    """Raises Refused."""
    spec = claim["spec"]
    parameters = dict(storage_class.get("parameters") or {})
    chosen = {parameters.pop(name) for name in _FS_PARAMETERS if name in parameters}
    if parameters:
        raise Refused(f"InvalidArgument: unknown parameter {sorted(parameters)[0]!r} in the StorageClass")
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        raise Refused("InvalidArgument: a volume cannot be made from another or from a snapshot")
    strange = [mode for mode in spec.get("accessModes") or () if mode not in _MODES]
    if strange:
        raise Refused(f"InvalidArgument: access mode {strange[0]} is not supported: a volume is on one node")
    size = max(whole(words.requested(claim)), MIB)
    if spec.get("volumeMode") == "Block":
        return Wanted(size, "")
    fs_type = next(iter(sorted(filter(None, chosen))), "") or filesystems.default(size)
    if fs_type not in filesystems.TYPES:
        raise Refused(f"InvalidArgument: unknown fsType {fs_type!r}")
    return Wanted(size, fs_type)


def note_for(claim: Obj, storage_class: Obj, what: Wanted) -> Note:
    metadata = claim["metadata"]
    return Note(
        name=words.volume_name(claim),
        size=what.size,
        fs_type=what.fs_type,
        namespace=metadata["namespace"],
        claim=metadata["name"],
        uid=metadata["uid"],
        storage_class=words.class_of(claim),
        policy=str(storage_class.get("reclaimPolicy") or "Delete"),
    )


def volume_for(claim: Obj, storage_class: Obj, note: Note, node: str, labels: Mapping[str, str]) -> Obj:
    """The PersistentVolume of a claim whose image is on `node`, which has `labels`."""
    name, spec, metadata = note.name, claim["spec"], claim["metadata"]
    policy = str(storage_class.get("reclaimPolicy") or "Delete")
    source: Obj = {
        "driver": words.PROVISIONER,
        "volumeHandle": name,
        "volumeAttributes": {words.NODE_ATTRIBUTE: node},
    }
    if note.fs_type:
        source["fsType"] = note.fs_type
    made: Obj = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {words.PROVISIONED_BY: words.PROVISIONER}},
        "spec": {
            "capacity": {"storage": written(note.size, words.requested(claim))},
            "accessModes": list(spec.get("accessModes") or ()),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": words.class_of(claim),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "csi": source,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [_only_on(labels.get(words.HOSTNAME, node))]}},
        },
    }
    if policy == "Delete":
        made["metadata"]["finalizers"] = [words.PROVISIONER_FINALIZER]
    if storage_class.get("mountOptions"):
        made["spec"]["mountOptions"] = list(storage_class["mountOptions"])
    return made


def mine(volume: Obj, claim: Obj, node: str) -> bool:
    """Whether a volume that is there already is what this node would have made for the claim."""
    reference = volume["spec"].get("claimRef") or {}
    return words.local_node(volume) == node and reference.get("uid") == claim["metadata"]["uid"]


def grown(claim: Obj, capacity: str) -> Obj:
    """The status patch of a claim whose volume has grown."""
    kept = _conditions_without(claim, "Resizing", "FileSystemResizePending", "ControllerResizeError")
    return {
        "capacity": {"storage": capacity},
        "conditions": kept,
        "allocatedResourceStatuses": {"storage": None},
    }


def grows_later(claim: Obj, stamp: str) -> Obj:
    """The status patch of a claim whose file system waits for its next mount."""
    message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
    pending = _condition("FileSystemResizePending", message, stamp)
    return {
        "conditions": [*_conditions_without(claim, "Resizing", "FileSystemResizePending"), pending],
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
    }


def cannot_grow(claim: Obj, message: str, stamp: str) -> Obj:
    """The status patch of a claim whose volume cannot have the size that is asked for."""
    error = _condition("ControllerResizeError", message, stamp)
    return {
        "conditions": [*_conditions_without(claim, "Resizing", "ControllerResizeError"), error],
        "allocatedResourceStatuses": {"storage": INFEASIBLE},
    }


def is_infeasible(claim: Obj) -> bool:
    statuses = (claim.get("status") or {}).get("allocatedResourceStatuses") or {}
    return statuses.get("storage") == INFEASIBLE


def is_pending(claim: Obj) -> bool:
    return meta.condition_is_true(claim, "FileSystemResizePending")


def _condition(kind: str, message: str, stamp: str) -> Obj:
    return {"type": kind, "status": "True", "lastTransitionTime": stamp, "message": message}


def _conditions_without(claim: Obj, *kinds: str) -> list[Obj]:
    conditions = (claim.get("status") or {}).get("conditions") or ()
    return [each for each in conditions if each["type"] not in kinds]


def _finalizers(obj: Obj) -> list[str]:
    return list(obj["metadata"].get("finalizers") or ())


def _only_on(hostname: str) -> Obj:
    return {"matchExpressions": [{"key": words.HOSTNAME, "operator": "In", "values": [hostname]}]}


class Orphan(NamedTuple):
    """What the API server says about an image: its PersistentVolume and its claim, None for what it does
    not know."""

    volume: Obj | None
    claim: Obj | None


def is_orphan(note: Note, seen: Orphan, node: str) -> bool:
    """Whether an image may be thrown away: nothing in the cluster knows it, nor ever will, and nobody asked
    to keep it."""
    if note.policy != "Delete":
        return False
    if seen.volume is not None:
        return not note.committed and words.local_node(seen.volume) != node
    claim = seen.claim
    if claim is None or claim["metadata"]["uid"] != note.uid:
        return True
    return not note.committed and not to_provision(claim, node)
