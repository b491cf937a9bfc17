"""Deployments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.apps.workloads import Workload, available, collisions, counts, same_selector, within
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.selectors import selector_text
from podium.api.validation import causes, scaling, values

TYPES = ("Recreate", "RollingUpdate")
QUARTER = "25%"


class Deployments(Workload):
    owner, title = "ReplicaSet", "deployment"
    columns = cells.table("Name", "Ready", "Up-to-date", "Available", "Age", *cells.CONTAINERS)
    status_keeps = ("labels",)

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        strategy = spec.setdefault("strategy", {})
        strategy["type"] = strategy.get("type") or "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", QUARTER)
            rolling.setdefault("maxSurge", QUARTER)
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)

    def wants_something_else(self, new: Obj, old: Obj) -> bool:
        """Its annotations are copied to its ReplicaSets, so a change of them has to be observed too."""
        changed = (new["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})
        return changed or super().wants_something_else(new, old)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.not_negative(spec.get("replicas"), "spec.replicas")
        found += self.check_selected(obj) + _strategy(spec.get("strategy") or {})
        for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
            found += values.not_negative(spec.get(key), f"spec.{key}")
        deadline = spec.get("progressDeadlineSeconds")
        if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
            detail = "must be greater than minReadySeconds"
            found.append(causes.invalid("spec.progressDeadlineSeconds", deadline, detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + same_selector(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        keys = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        found = counts(new, *keys, "unavailableReplicas", "terminatingReplicas")
        found += within(new, "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        return found + available(new) + collisions(new, old)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
        return [
            obj["metadata"]["name"], ready, status.get("updatedReplicas", 0),
            status.get("availableReplicas", 0), cells.age(obj, now), *cells.containers(spec.get("template")),
            selector_text(spec.get("selector")),
        ]  # fmt: skip


def _strategy(strategy: Obj) -> list[Cause]:
    path = "spec.strategy"
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "Recreate":
            detail = "may not be specified when strategy `type` is 'Recreate'"
            return [] if rolling is None else [causes.forbidden(f"{path}.rollingUpdate", detail)]
        case "RollingUpdate":
            return _rolling(rolling or {}, f"{path}.rollingUpdate")
    return [causes.not_supported(path, strategy, TYPES)]


def _rolling(rolling: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("maxUnavailable", "maxSurge"):
        found += scaling.share(rolling.get(key), f"{path}.{key}")
    most = rolling.get("maxUnavailable")
    if scaling.is_zero(most) and scaling.is_zero(rolling.get("maxSurge")):
        detail = "may not be 0 when `maxSurge` is 0"
        found.append(causes.invalid(f"{path}.maxUnavailable", most, detail))
    return found + scaling.at_most_all(most, f"{path}.maxUnavailable")
