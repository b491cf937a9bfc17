"""StorageClasses and VolumeAttributesClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.storage import is_default_class
from podium.api.validation import causes, names, values

BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
RECLAIM = ("Delete", "Retain")
MOST_PARAMETERS = 512
MOST_PARAMETER_BYTES = 256 * 1024


class StorageClasses(Strategy):
    columns = cells.table(
        "Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"
    )

    def default(self, obj: Obj) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def check(self, obj: Obj) -> list[Cause]:
        found = _provisioner(obj.get("provisioner", ""), "provisioner") + _parameters(obj)
        found += values.optional_one_of(obj.get("reclaimPolicy"), "reclaimPolicy", RECLAIM)
        found += values.one_of(obj.get("volumeBindingMode"), "volumeBindingMode", BINDING_MODES)
        return found + _topologies(obj.get("allowedTopologies") or ())

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return [
            causes.immutable(key, new.get(key))
            for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
            if (new.get(key) or None) != (old.get(key) or None)
        ]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        name = obj["metadata"]["name"] + (" (default)" if is_default_class(obj) else "")
        return [
            name, obj.get("provisioner", ""), obj.get("reclaimPolicy") or "Delete",
            obj.get("volumeBindingMode") or "Immediate", bool(obj.get("allowVolumeExpansion")),
            cells.age(obj, now),
        ]  # fmt: skip


def _provisioner(name: str, path: str) -> list[Cause]:
    if not name:
        return [causes.required(path)]
    return values.named(name.lower(), path, names.qualified)


def _parameters(obj: Obj) -> list[Cause]:
    parameters: dict[str, str] = obj.get("parameters") or {}
    if len(parameters) > MOST_PARAMETERS:
        return [causes.too_long("parameters", MOST_PARAMETERS)]
    found = [causes.invalid("parameters", key, "field can not be empty.") for key in parameters if not key]
    if sum(len(key) + len(text) for key, text in parameters.items()) > MOST_PARAMETER_BYTES:
        found.append(causes.too_long("parameters", MOST_PARAMETER_BYTES))
    return found


def _topologies(terms: Any) -> list[Cause]:
    found: list[Cause] = []
    seen: list[dict[str, frozenset[str]]] = []
    for index, term in enumerate(terms):
        where = f"allowedTopologies[{index}].matchLabelExpressions"
        wanted: dict[str, frozenset[str]] = {}
        for number, entry in enumerate(term.get("matchLabelExpressions") or ()):
            path, given = f"{where}[{number}]", entry.get("values") or ()
            key = entry.get("key", "")
            found += values.named(key, f"{path}.key", names.qualified)
            if key in wanted:
                found.append(causes.duplicate(f"{path}.key", key))
            found += [] if given else [causes.required(f"{path}.values")]
            found += values.duplicates(given, f"{path}.values")
            wanted[key] = frozenset(given)
        if wanted in seen:
            found.append(causes.duplicate(where, ""))
        seen.append(wanted)
    return found


class VolumeAttributesClasses(Strategy):
    columns = cells.table("Name", "DriverName", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        found = _provisioner(obj.get("driverName", ""), "driverName") + _parameters(obj)
        if not obj.get("parameters"):
            found.append(causes.required("parameters", "must contain at least one key/value pair"))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = [
            causes.forbidden(key, f"updates to {key} are forbidden.")
            for key in ("driverName", "parameters")
            if new.get(key) != old.get(key)
        ]
        return found + self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("driverName", ""), cells.age(obj, now)]
