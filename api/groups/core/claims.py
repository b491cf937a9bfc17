"""PersistentVolumeClaims."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.claim_spec import check_claim, default_claim, storage_of
from podium.api.groups.core.pod_validation.update import differences
from podium.api.groups.core.volumes import DEPRECATED, phase, short_modes
from podium.api.strategy import Strategy
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.types.storage import BETA_CLASS, annotation, class_of
from podium.api.validation import causes, metadata, names, values

IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName "
    "for bound claims\n"
)
RESIZE_STATES = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending", "NodeResizeInProgress",
    "NodeResizeInfeasible",
)  # fmt: skip


class PersistentVolumeClaims(Strategy):
    columns = cells.table(
        "Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass",
        "Age", "VolumeMode:string:1",
    )  # fmt: skip
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        default_claim(obj.setdefault("spec", {}))
        obj.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_create(self, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Obj) -> list[Cause]:
        return check_claim(obj["spec"], "spec")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + _changes(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        found: list[Cause] = []
        for key, state in (status.get("allocatedResourceStatuses") or {}).items():
            path = "status.allocatedResourceStatuses"
            found += _resource_key(key, path)
            if state not in RESIZE_STATES:
                found.append(causes.not_supported(path, key, sorted(RESIZE_STATES)))
        for part in ("capacity", "allocatedResources"):
            for key, amount in (status.get(part) or {}).items():
                path = f"status.{part}"
                if part == "allocatedResources":
                    found += _resource_key(key, path)
                if quantity.parse(amount) < 0:
                    found.append(
                        causes.invalid(f"{path}[{key}]", amount, "must be a valid resource quantity")
                    )
        return found

    def warnings(self, obj: Obj) -> list[str]:
        found = []
        if annotation(obj, BETA_CLASS) is not None:
            found.append(f"metadata.annotations[{BETA_CLASS}]: {DEPRECATED[BETA_CLASS]}")
        for part in ("requests", "limits"):
            amount = ((obj["spec"].get("resources") or {}).get(part) or {}).get("storage", "0")
            if quantity.parse(amount) % 1:
                path = f"spec.resources.{part}[storage]"
                found.append(f'{path}: fractional byte value "{amount}" is invalid, must be an integer')
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        bound = bool(spec.get("volumeName"))
        return [
            obj["metadata"]["name"], phase(obj), spec.get("volumeName", ""),
            (status.get("capacity") or {}).get("storage", "0") if bound else "",
            short_modes(status.get("accessModes") or ()) if bound else "", class_of(obj),
            spec.get("volumeAttributesClassName") or cells.UNSET, cells.age(obj, now),
            spec.get("volumeMode") or cells.UNSET,
        ]  # fmt: skip


def _resource_key(key: str, path: str) -> list[Cause]:
    found = values.named(key, path, names.qualified)
    native = "/" not in key or key.partition("/")[0].endswith("kubernetes.io")
    if not found and native and key != "storage":
        found.append(causes.not_supported(path, key, ("storage",)))
    return found


def _changes(new: Obj, old: Obj) -> list[Cause]:
    """A claim may be bound to a volume once, get its class once, and grow once it is bound."""
    munged, former = _munged(new, old), dict(old["spec"])
    if not former.get("volumeName"):
        former.pop("volumeName", None)
    found = _annotated_class(new, old)
    if lines := differences(former, munged, "spec"):
        found.append(causes.forbidden("spec", IMMUTABLE + "\n".join(lines)))
    found += _smaller(new, old)
    found += metadata.immutable(new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "volumeMode")
    return found + _attributes(new, old)


def _munged(new: Obj, old: Obj) -> Obj:
    """The new spec with what may be changed as it was before."""
    spec, former = dict(new["spec"]), old["spec"]
    if not former.get("volumeName"):
        spec.pop("volumeName", None)
    if former.get("storageClassName") is None and spec.get("storageClassName") is not None:
        annotated = annotation(old, BETA_CLASS)
        if annotated is None or annotated == spec["storageClassName"]:
            spec.pop("storageClassName")
    wanted, had = storage_of(spec), storage_of(former)
    bound = (new.get("status") or {}).get("phase") == "Bound"
    if wanted is not None and had is not None and (bound or quantity.parse(wanted) == quantity.parse(had)):
        requests = {**spec["resources"]["requests"], "storage": had}
        spec["resources"] = {**spec["resources"], "requests": requests}
    if bound:
        spec.pop("volumeAttributesClassName", None)
        if (name := former.get("volumeAttributesClassName")) is not None:
            spec["volumeAttributesClassName"] = name
    return spec


def _annotated_class(new: Obj, old: Obj) -> list[Cause]:
    """The annotation of old times may be replaced by the field that says the same, and else stays."""
    before, after = annotation(old, BETA_CLASS), annotation(new, BETA_CLASS)
    name = new["spec"].get("storageClassName")
    moved = before is not None and old["spec"].get("storageClassName") is None and name == before
    if before == after or (moved and after is None):
        return []
    return [causes.immutable(f"metadata.annotations[{BETA_CLASS}]", after or "")]


def _smaller(new: Obj, old: Obj) -> list[Cause]:
    """A request that failed to be granted may be lowered, though not to what there is."""
    wanted, had = storage_of(new["spec"]), storage_of(old["spec"])
    size = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
    if wanted is None or had is None or quantity.parse(wanted) >= quantity.parse(had):
        return []
    if quantity.parse(wanted) > quantity.parse(size):
        return []
    path = "spec.resources.requests.storage"
    return [causes.forbidden(path, "field can not be less than status.capacity")]


def _attributes(new: Obj, old: Obj) -> list[Cause]:
    key = "volumeAttributesClassName"
    name = new["spec"].get(key)
    if name == old["spec"].get(key) or name:
        return []
    if (old.get("status") or {}).get("currentVolumeAttributesClassName") is None:
        return []
    what = "nil" if name is None else "empty string"
    detail = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
    return [causes.forbidden(f"spec.{key}", detail)]
