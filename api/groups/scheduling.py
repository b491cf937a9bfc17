"""PriorityClasses and RuntimeClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation import resources as pod_resources
from podium.api.groups.core.pod_validation import scheduling
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, metadata, names, values

HIGHEST = 1_000_000_000
PREFIX = "system-"
# Known to everybody before the objects that say so have been made.
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")


class PriorityClasses(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy:string:0"
    )

    def default(self, obj: Obj) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def check(self, obj: Obj) -> list[Cause]:
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        found: list[Cause] = []
        if name.startswith(PREFIX):
            if why := _not_known(name, value, bool(obj.get("globalDefault"))):
                text = (
                    f"priority class names with '{PREFIX}' prefix are reserved for system use only. error: "
                )
                found.append(causes.forbidden("metadata.name", text + why))
        elif value > HIGHEST:
            detail = f"maximum allowed value of a user defined priority is {HIGHEST}"
            found.append(causes.forbidden("value", detail))
        return found + values.optional_one_of(
            obj.get("preemptionPolicy"), "preemptionPolicy", PREEMPTION_POLICIES
        )

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = []
        if new.get("value", 0) != old.get("value", 0):
            found.append(causes.forbidden("value", "may not be changed in an update."))
        now, before = new.get("preemptionPolicy"), old.get("preemptionPolicy")
        return found + metadata.immutable(now, before, "preemptionPolicy")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [
            obj["metadata"]["name"], obj.get("value", 0), bool(obj.get("globalDefault")), cells.age(obj, now),
            obj.get("preemptionPolicy", ""),
        ]  # fmt: skip


def _not_known(name: str, value: int, is_default: bool) -> str:
    """Why this is none of the classes that everybody knows; "" when it is."""
    if name not in SYSTEM:
        return f"{name} is not a known system priority class"
    if SYSTEM[name] != value:
        return f"value of {name} PriorityClass must be {SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


class RuntimeClasses(Strategy):
    allow_create_on_update = True
    columns = cells.table("Name", "Handler", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        handler = obj.get("handler", "")
        found = [] if handler else [causes.required("handler")]
        found += values.named(handler, "handler", names.dns_label) if handler else []
        if fixed := (obj.get("overhead") or {}).get("podFixed"):
            found += pod_resources.check({"limits": fixed}, "overhead")
        placed = obj.get("scheduling") or {}
        found += metadata.check_labels(placed.get("nodeSelector"), "scheduling.nodeSelector")
        tolerations, path = placed.get("tolerations") or [], "scheduling.tolerations"
        found += scheduling.check_tolerations(tolerations, path)
        alike = [{**entry, "tolerationSeconds": None} for entry in tolerations]
        return found + [
            causes.duplicate(f"{path}[{index}]", tolerations[index])
            for index, entry in enumerate(alike)
            if entry in alike[:index]
        ]

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new.get("handler"), old.get("handler"), "handler")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("handler", ""), cells.age(obj, now)]


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.PRIORITY_CLASSES: PriorityClasses,
    resources.RUNTIME_CLASSES: RuntimeClasses,
}
