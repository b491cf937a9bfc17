"""What is to be done about one volume: decided from it and the claim that it names; nothing is done here.

Source: kubernetes.io "Persistent Volumes", sections "Reclaiming" and "Phase".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types import volume_matching as matching
from podium.api.types.storage import BOUND_BY_CONTROLLER, PROVISIONED_BY, annotation
from podium.control.volumes.claims import IN_TREE, Told

OVER = ("Released", "Failed")  # phases in which the claim is known to be gone
NO_DELETER = 'error getting deleter volume plugin for volume "{}": no deletable volume plugin matched'


@dataclass(frozen=True)
class Phase:
    """The volume's phase is this one; `told` once, when it changes, with its message in the status."""

    name: str
    told: Told | None = None


@dataclass(frozen=True)
class LookAtClaim:
    """The claim is not bound yet: its own turn completes the binding."""


@dataclass(frozen=True)
class Mismatch:
    """The volume was promised to a claim that wants the other volume mode: both are told."""

    volume: Told
    claim: Told


@dataclass(frozen=True)
class Unbind:
    """The claim got another volume: this one is free again, or is again reserved by name alone."""


Step: TypeAlias = Phase | LookAtClaim | Mismatch | Unbind


def is_reserved(volume: Obj) -> bool:
    """Whether the volume is bound to one claim, by uid."""
    return bool((volume["spec"].get("claimRef") or {}).get("uid"))


def decide(volume: Obj, claim: Obj | None) -> Step:
    """`claim` is the one that the volume's claimRef names, None where it, by uid, is no more."""
    if not is_reserved(volume):
        return Phase("Available")
    if claim is None:
        return _released(volume)
    bound_to = claim["spec"].get("volumeName")
    if not bound_to:
        return LookAtClaim() if matching.same_mode(claim, volume) else _mismatch(claim, volume)
    if bound_to == volume["metadata"]["name"]:
        return Phase("Bound")
    if annotation(volume, PROVISIONED_BY) is not None and _policy(volume) == "Delete":
        return _released(volume)
    return Unbind()


def _policy(volume: Obj) -> str:
    return str(volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain")


def _released(volume: Obj) -> Step:
    """Whoever provisioned a volume deletes it. Nobody can recycle one any more, or delete what was made by
    hand."""
    now = str((volume.get("status") or {}).get("phase"))
    if now not in OVER:
        return Phase("Released")
    match _policy(volume):
        case "Recycle":
            return Phase(
                "Failed", Told("Warning", "VolumeFailedRecycle", "No recycler plugin found for the volume!")
            )
        case "Delete" if not _deleted_elsewhere(volume):
            message = NO_DELETER.format(volume["metadata"]["name"])
            return Phase("Failed", Told("Warning", "VolumeFailedDelete", message))
    return Phase(now)


def _deleted_elsewhere(volume: Obj) -> bool:
    provisioner = annotation(volume, PROVISIONED_BY)
    if provisioner:
        return not provisioner.startswith(IN_TREE)
    return volume["spec"].get("csi") is not None


def _mismatch(claim: Obj, volume: Obj) -> Mismatch:
    text = (
        "Cannot bind PersistentVolume {}to requested PersistentVolumeClaim {}due to incompatible volumeMode."
    )
    names = (f'"{volume["metadata"]["name"]}" ', f'"{claim["metadata"]["name"]}" ')
    return Mismatch(
        Told("Warning", "VolumeMismatch", text.format("", names[1])),
        Told("Warning", "VolumeMismatch", text.format(names[0], "")),
    )


def bound_volume(volume: Obj, claim: Obj) -> Obj | None:
    """The volume as it is once it is bound to `claim`, None where it says so already."""
    meta = claim["metadata"]
    if matching.is_for(volume, claim) and volume["spec"]["claimRef"].get("uid"):
        return None
    annotations = dict(volume["metadata"].get("annotations") or {})
    if not matching.is_for(volume, claim):
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
    }
    metadata = {**volume["metadata"], **({"annotations": annotations} if annotations else {})}
    return {**volume, "metadata": metadata, "spec": {**volume["spec"], "claimRef": reference}}


def unbound_volume(volume: Obj) -> Obj:
    """The volume without its claim; what a user reserved stays reserved, by name."""
    spec, meta = dict(volume["spec"]), dict(volume["metadata"])
    if annotation(volume, BOUND_BY_CONTROLLER) is not None:
        spec.pop("claimRef", None)
        kept = {key: text for key, text in meta["annotations"].items() if key != BOUND_BY_CONTROLLER}
        meta["annotations"] = kept
    else:
        spec["claimRef"] = {key: text for key, text in spec["claimRef"].items() if key != "uid"}
    return {**volume, "metadata": meta, "spec": spec}
