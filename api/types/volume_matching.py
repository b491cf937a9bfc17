"""Which volume fits which claim: what the controller that binds and the scheduler must agree on.

Source: kubernetes.io "Persistent Volumes", sections "Binding", "Selector", "Access Modes", "Volume Mode",
"Reserving a PersistentVolume".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from podium.api.types import Obj, quantity
from podium.api.types.affinity import selector_terms
from podium.api.types.meta import deleting
from podium.api.types.selectors import from_label_selector
from podium.api.types.storage import capacity, class_of, requested

Labels = Mapping[str, str]
FILESYSTEM = "Filesystem"


def is_for(volume: Obj, claim: Obj) -> bool:
    """Whether the volume's claimRef names this claim: by name alone (a user reserved it) or by uid too."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    meta = claim["metadata"]
    if (reference.get("namespace"), reference.get("name")) != (meta.get("namespace"), meta["name"]):
        return False
    return reference.get("uid", "") in ("", meta["uid"])


def same_mode(claim: Obj, volume: Obj) -> bool:
    return bool(
        (claim["spec"].get("volumeMode") or FILESYSTEM) == (volume["spec"].get("volumeMode") or FILESYSTEM)
    )


def has_access_modes(claim: Obj, volume: Obj) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def reaches(volume: Obj, labels: Labels) -> bool:
    """Whether the volume can be used from a node with these labels. Terms are alternatives; one without any
    expression holds nowhere."""
    terms = selector_terms((volume["spec"].get("nodeAffinity") or {}).get("required"))
    return terms is None or any(term.matches("", labels) for term in terms)


def mismatch(claim: Obj, volume: Obj) -> str:
    """Why a volume that the claim asks for by name cannot be its; "" where it can."""
    if deleting(volume):
        return f'the volume is marked for deletion "{volume["metadata"]["name"]}"'
    if quantity.parse(capacity(volume)) < quantity.parse(requested(claim)):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _attributes(volume) != _attributes(claim):
        return "volumeAttributesClassName does not match"
    if not same_mode(claim, volume):
        return "incompatible volumeMode"
    return "" if has_access_modes(claim, volume) else "incompatible accessMode"


def _attributes(obj: Obj) -> str:
    return str(obj["spec"].get("volumeAttributesClassName") or "")


def could_hold(claim: Obj, volume: Obj) -> bool:
    """Size, mode, attributes, and not on its way out: what even a volume reserved for the claim must have."""
    return (
        quantity.parse(capacity(volume)) >= quantity.parse(requested(claim))
        and same_mode(claim, volume)
        and _attributes(volume) == _attributes(claim)
        and not deleting(volume)
    )


def fits(claim: Obj, volume: Obj) -> bool:
    """Whether an Available volume that nobody has reserved can be bound to the claim."""
    return (
        not volume["spec"].get("claimRef")
        and (volume.get("status") or {}).get("phase") == "Available"
        and class_of(volume) == class_of(claim)
        and has_access_modes(claim, volume)
        and could_hold(claim, volume)
        and _selected(claim, volume)
    )


def _selected(claim: Obj, volume: Obj) -> bool:
    selector = claim["spec"].get("selector")
    return selector is None or from_label_selector(selector).matches(volume["metadata"].get("labels"))


def reserved(claim: Obj, volumes: Iterable[Obj]) -> Obj | None:
    """The volume that was made or set aside for this claim, if it can hold it."""
    for volume in volumes:
        if is_for(volume, claim) and has_access_modes(claim, volume) and could_hold(claim, volume):
            return volume
    return None


def smallest(
    claim: Obj, volumes: Iterable[Obj], node_labels: Labels | None = None, taken: Collection[str] = ()
) -> Obj | None:
    """The best volume for the claim: the one reserved for it, else of those that fit the one with fewest
    access modes, among equals the smallest, then by name. With `node_labels` only volumes that this node can
    reach count, and the smallest goes first whatever its modes; where the reserved one is out of reach there
    is none. `taken` are names of volumes that are promised already."""
    free = [volume for volume in volumes if volume["metadata"]["name"] not in taken]
    if (mine := reserved(claim, free)) is not None:
        return mine if node_labels is None or reaches(mine, node_labels) else None
    fitting = (volume for volume in free if fits(claim, volume))
    if node_labels is None:
        return min(fitting, key=lambda volume: (_modes(volume), *_size(volume)), default=None)
    return min((volume for volume in fitting if reaches(volume, node_labels)), key=_size, default=None)


def _modes(volume: Obj) -> int:
    return len(volume["spec"].get("accessModes") or ())


def _size(volume: Obj) -> tuple[Decimal, str]:
    return quantity.parse(capacity(volume)), volume["metadata"]["name"]
