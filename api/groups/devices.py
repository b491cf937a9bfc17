"""The group resource.k8s.io: devices, and claims for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import metadata


class Aged(Strategy):
    columns = cells.table("Name", "Age")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], cells.age(obj, now)]


class DeviceClasses(Aged):
    has_generation = True


class ResourceClaims(Strategy):
    columns = cells.table("Name", "State", "Age")

    def default(self, obj: Obj) -> None:
        default_requests(obj.setdefault("spec", {}))

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new.get("spec"), old.get("spec"), "spec")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], _state(obj), cells.age(obj, now)]


def default_requests(spec: Obj) -> None:
    """A ResourceClaimSpec: one device exactly, where nothing else is said."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        for part in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if part is not None:
                part["allocationMode"] = part.get("allocationMode") or "ExactCount"
                if part["allocationMode"] == "ExactCount":
                    part["count"] = part.get("count") or 1


def _state(obj: Obj) -> str:
    status = obj.get("status") or {}
    states = ["deleted"] if obj["metadata"].get("deletionTimestamp") else []
    if status.get("allocation") is not None:
        states += ["allocated", "reserved"] if status.get("reservedFor") else ["allocated"]
    elif not states:
        states.append("pending")
    return ",".join(states)


class ResourceClaimTemplates(Aged):
    def default(self, obj: Obj) -> None:
        default_requests(obj.setdefault("spec", {}).setdefault("spec", {}))

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new.get("spec"), old.get("spec"), "spec")


class ResourceSlices(Strategy):
    has_generation = True
    columns = cells.table("Name", "Node", "Driver", "Pool", "Age")
    fields = same("spec.nodeName", "spec.driver")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        return [
            obj["metadata"]["name"], spec.get("nodeName") or "", spec.get("driver", ""),
            (spec.get("pool") or {}).get("name", ""), cells.age(obj, now),
        ]  # fmt: skip


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.DEVICE_CLASSES: DeviceClasses,
    resources.RESOURCE_CLAIM_TEMPLATES: ResourceClaimTemplates,
    resources.RESOURCE_CLAIMS: ResourceClaims,
    resources.RESOURCE_SLICES: ResourceSlices,
}
