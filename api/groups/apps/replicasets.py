"""ReplicaSets."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.groups.apps.workloads import Workload, available, counts, same_selector, within
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import values


class ReplicaSets(Workload):
    owner, title = "ReplicaSet", "deployment"
    columns = cells.table(
        "Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *cells.CONTAINERS
    )
    first_status = MappingProxyType({"replicas": 0})

    def default(self, obj: Obj) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        for key in ("replicas", "minReadySeconds"):
            found += values.not_negative(obj["spec"].get(key), f"spec.{key}")
        return found + self.check_selected(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + same_selector(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        keys = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
        found = counts(new, "replicas", *keys, "observedGeneration", "terminatingReplicas")
        return found + within(new, "replicas", *keys) + available(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        return [
            obj["metadata"]["name"], spec.get("replicas", 0), status.get("replicas", 0),
            status.get("readyReplicas", 0), cells.age(obj, now), *cells.containers(spec.get("template")),
            cells.selector(spec.get("selector")),
        ]  # fmt: skip
