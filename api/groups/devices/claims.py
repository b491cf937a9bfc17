"""ResourceClaims and their templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.devices import allocations, parts
from podium.api.groups.devices.classes import Aged
from podium.api.groups.devices.requests import Requests, default_requests, device_claim
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata

MOST_USERS = 256


class ResourceClaims(Strategy):
    columns = cells.table("Name", "State", "Age")

    def default(self, obj: Obj) -> None:
        default_requests(obj.setdefault("spec", {}))

    def check(self, obj: Obj) -> list[Cause]:
        return device_claim(obj["spec"].get("devices") or {}, "spec.devices")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new.get("spec"), old.get("spec"), "spec")

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status, former = new.get("status") or {}, old.get("status") or {}
        path, users = "status.reservedFor", status.get("reservedFor") or []
        found = parts.unique(users, MOST_USERS, _user, path, lambda user: user.get("uid", ""))
        allocation = status.get("allocation")
        found += allocations.check_devices(status.get("devices") or (), allocation, "status.devices")
        if users and allocation is None:
            detail = "may not be specified when `allocated` is not set"
            found.append(causes.forbidden(path, detail))
        elif new["metadata"].get("deletionTimestamp") and any(
            user not in (former.get("reservedFor") or ()) for user in users
        ):
            detail = (
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
            )
            found.append(causes.forbidden(path, detail))
        if allocation is None:
            return found
        if former.get("allocation") is not None:
            return found + metadata.immutable(allocation, former["allocation"], "status.allocation")
        known = Requests(new["spec"].get("devices") or {})
        return found + allocations.check(allocation, known, "status.allocation")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], _state(obj), cells.age(obj, now)]


def _user(user: Obj, path: str) -> list[Cause]:
    return [causes.required(f"{path}.{key}") for key in ("resource", "name", "uid") if not user.get(key)]


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

    def check(self, obj: Obj) -> list[Cause]:
        spec, path = obj["spec"], "spec.metadata"
        meta = spec.get("metadata") or {}
        found = metadata.check_annotations(meta.get("annotations"), f"{path}.annotations")
        found += metadata.check_labels(meta.get("labels"), f"{path}.labels")
        found += [
            causes.forbidden(f"{path}.{key}", "cannot be set")
            for key in meta
            if key not in ("annotations", "labels") and meta[key]
        ]
        return found + device_claim(spec["spec"].get("devices") or {}, "spec.spec.devices")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new.get("spec"), old.get("spec"), "spec")
