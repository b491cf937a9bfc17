"""StorageClasses and VolumeAttributesClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

DEFAULT = "storageclass.kubernetes.io/is-default-class"
OLD_DEFAULT = "storageclass.beta.kubernetes.io/is-default-class"
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
RECLAIM = ("Delete", "Retain")


class StorageClasses(Strategy):
    columns = cells.table(
        "Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"
    )

    def default(self, obj: Obj) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def check(self, obj: Obj) -> list[Cause]:
        provisioner = obj.get("provisioner", "")
        found = [] if provisioner else [causes.required("provisioner")]
        if provisioner:
            found += values.named(provisioner.lower(), "provisioner", names.qualified)
        parameters = obj.get("parameters") or {}
        found += [
            causes.invalid("parameters", key, "field can not be empty.") for key in parameters if not key
        ]
        found += values.optional_one_of(obj.get("reclaimPolicy"), "reclaimPolicy", RECLAIM)
        return found + values.one_of(obj.get("volumeBindingMode"), "volumeBindingMode", BINDING_MODES)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        detail = "updates to {} are forbidden."
        return [
            causes.forbidden(key, detail.format(key))
            for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
            if (new.get(key) or None) != (old.get(key) or None)
        ]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        name, annotations = obj["metadata"]["name"], obj["metadata"].get("annotations") or {}
        if "true" in (annotations.get(DEFAULT), annotations.get(OLD_DEFAULT)):
            name += " (default)"
        return [
            name, obj.get("provisioner", ""), obj.get("reclaimPolicy") or "Delete",
            obj.get("volumeBindingMode") or "Immediate", bool(obj.get("allowVolumeExpansion")),
            cells.age(obj, now),
        ]  # fmt: skip


class VolumeAttributesClasses(Strategy):
    columns = cells.table("Name", "DriverName", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        found = [] if obj.get("driverName") else [causes.required("driverName")]
        if not obj.get("parameters"):
            found.append(causes.required("parameters", "must contain at least one key/value pair"))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return [
            causes.forbidden(key, f"updates to {key} are forbidden.")
            for key in ("driverName", "parameters")
            if new.get(key) != old.get(key)
        ]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("driverName", ""), cells.age(obj, now)]
