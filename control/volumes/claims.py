"""What is to be done about one claim: decided from the claim, the volumes and the classes; nothing is done
here.

Source: kubernetes.io "Persistent Volumes", sections "Lifecycle of a volume and claim" and "Retroactive
default StorageClass assignment"; "Storage Classes", section "Volume Binding Mode".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types import volume_matching as matching
from podium.api.types.meta import deleting
from podium.api.types.storage import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
    annotation,
    class_of,
    has_class,
    is_default_class,
)

IN_TREE = "kubernetes.io/"  # provisioners that were once part of Kubernetes; nothing provisions for them
FIRST_CONSUMER = "waiting for first consumer to be created before binding"
NO_CLASS = "no persistent volumes available for this claim and no storage class is set"
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and "
    "correctly registered."
)


@dataclass(frozen=True)
class Told:
    """An event."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Bind:
    """Claim and volume become one's other, or whatever of that is missing is completed."""

    volume: Obj


@dataclass(frozen=True)
class AssignClass:
    """The claim gets the default class, which came after it."""

    name: str


@dataclass(frozen=True)
class Provision:
    """Whoever provisions for the class is asked for a volume."""

    provisioner: str
    told: Told


@dataclass(frozen=True)
class Wait:
    """The claim stays Pending."""

    told: Told | None = None


@dataclass(frozen=True)
class Lose:
    """The claim's volume is gone or is another's."""

    told: Told


Step: TypeAlias = Bind | AssignClass | Provision | Wait | Lose | None


@dataclass(frozen=True)
class Seen:
    """What a decision looks at. `named` is the volume that the claim names, `candidates` those that are
    reserved for it or free in its class, `waiting` the names of the unscheduled pods that use it."""

    named: Obj | None
    candidates: Sequence[Obj]
    classes: Mapping[str, Obj]
    waiting: Sequence[str] = ()


def decide(claim: Obj, seen: Seen) -> Step:
    if annotation(claim, BIND_COMPLETED) is not None:
        return _bound(claim, seen)
    if deleting(claim):
        return None
    if claim["spec"].get("volumeName"):
        return _named(claim, seen.named)
    return _unbound(claim, seen)


def _bound(claim: Obj, seen: Seen) -> Step:
    if not claim["spec"].get("volumeName"):
        return Lose(
            Told(
                "Warning",
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            )
        )
    if seen.named is None:
        return Lose(
            Told(
                "Warning",
                "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
            )
        )
    reference = seen.named["spec"].get("claimRef")
    if not reference or reference.get("uid") == claim["metadata"]["uid"]:
        return Bind(seen.named)
    message = "Two claims are bound to the same volume, this one is bound incorrectly"
    return Lose(Told("Warning", "ClaimMisbound", message))


def _named(claim: Obj, volume: Obj | None) -> Step:
    """The claim asks for one volume by its name."""
    if volume is None:
        return Wait()
    name = volume["metadata"]["name"]
    if not volume["spec"].get("claimRef"):
        if why := matching.mismatch(claim, volume):
            return Wait(Told("Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}'))
        return Bind(volume)
    if matching.is_for(volume, claim):
        return Bind(volume)
    return Wait(Told("Warning", "FailedBinding", f'volume "{name}" already bound to a different claim.'))


def _unbound(claim: Obj, seen: Seen) -> Step:
    class_name = class_of(claim)
    storage_class = seen.classes.get(class_name)
    delayed = waits_for_consumer(storage_class)
    find = matching.reserved if delayed else matching.smallest
    if (volume := find(claim, seen.candidates)) is not None:
        return Bind(volume)
    if not has_class(claim) and (default := newest_default(seen.classes)) is not None:
        return AssignClass(default["metadata"]["name"])
    if delayed and annotation(claim, SELECTED_NODE) is None:
        return Wait(_awaited(seen.waiting))
    if not class_name:
        return Wait(Told("Normal", "FailedBinding", NO_CLASS))
    if storage_class is None:
        message = f'storageclass.storage.k8s.io "{class_name}" not found'
        return Wait(Told("Warning", "ProvisioningFailed", message))
    provisioner = storage_class["provisioner"]
    if provisioner.startswith(IN_TREE):
        message = f"no volume plugin matched name: {provisioner}"
        return Wait(Told("Warning", "ProvisioningFailed", message))
    return Provision(provisioner, Told("Normal", "ExternalProvisioning", EXTERNAL.format(provisioner)))


def waits_for_consumer(storage_class: Obj | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _awaited(pods: Sequence[str]) -> Told:
    if not pods:
        return Told("Normal", "WaitForFirstConsumer", FIRST_CONSUMER)
    which = f"pod {pods[0]}" if len(pods) == 1 else f"pods {','.join(pods)}"
    return Told("Normal", "WaitForPodScheduled", f"waiting for {which} to be scheduled")


def newest_default(classes: Mapping[str, Obj]) -> Obj | None:
    """Of the classes marked as default the newest; of two as old the first by name."""
    marked = sorted(
        (entry for entry in classes.values() if is_default_class(entry)),
        key=lambda entry: str(entry["metadata"]["name"]),
    )
    return max(marked, key=lambda entry: entry["metadata"].get("creationTimestamp", ""), default=None)


def bound_claim(claim: Obj, volume: Obj) -> Obj | None:
    """The claim as it is once it is bound to `volume`, None where it says so already."""
    annotations = dict(claim["metadata"].get("annotations") or {})
    name = volume["metadata"]["name"]
    if claim["spec"].get("volumeName") != name:
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    elif BIND_COMPLETED in annotations:
        return None
    annotations.setdefault(BIND_COMPLETED, "yes")
    meta = {**claim["metadata"], "annotations": annotations}
    return {**claim, "metadata": meta, "spec": {**claim["spec"], "volumeName": name}}


def status(claim: Obj, phase: str, volume: Obj | None) -> Obj:
    """The claim's status in `phase`. The capacity is told when the claim becomes bound; from then on it is
    told by whoever makes the volume grow."""
    former = claim.get("status") or {}
    wanted = {**former, "phase": phase}
    if volume is None:
        for key in ("accessModes", "capacity", "currentVolumeAttributesClassName"):
            wanted.pop(key, None)
        return wanted
    wanted["accessModes"] = list(volume["spec"].get("accessModes") or ())
    if former.get("phase") != phase:
        wanted["capacity"] = dict(volume["spec"].get("capacity") or {})
        attributes = volume["spec"].get("volumeAttributesClassName")
        if former.get("phase") == "Pending" and attributes is not None:
            wanted["currentVolumeAttributesClassName"] = attributes
    return wanted
