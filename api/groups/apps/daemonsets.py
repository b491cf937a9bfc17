"""DaemonSets."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.groups.apps.workloads import Workload, collisions, counts, same_selector
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, scaling, values

TYPES = ("RollingUpdate", "OnDelete")
# The template's generation lives in an annotation since it left the spec.
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_COUNTS = (
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
    "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
)  # fmt: skip


class DaemonSets(Workload):
    owner, title = "DaemonSet", "daemonset"
    columns = cells.table(
        "Name", "Desired:integer", "Current:integer", "Ready:integer", "Up-to-date:integer",
        "Available:integer", "Node Selector", "Age", *cells.CONTAINERS,
    )  # fmt: skip
    first_status = MappingProxyType(
        {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}
    )

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("updateStrategy", {})
        strategy["type"] = strategy.get("type") or "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        _set_template_generation(obj, 1)

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        changed = new["spec"].get("template") != old["spec"].get("template")
        _set_template_generation(new, template_generation(old) + changed)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = self.check_selected(obj)
        found += values.not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        found += _strategy(spec.get("updateStrategy") or {})
        return found + values.not_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + same_selector(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return counts(new, *_COUNTS) + collisions(new, old)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        numbers = (
            "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
            "numberAvailable",
        )  # fmt: skip
        template = spec.get("template") or {}
        return [
            obj["metadata"]["name"], *(status.get(key, 0) for key in numbers),
            cells.labels((template.get("spec") or {}).get("nodeSelector")), cells.age(obj, now),
            *cells.containers(template), cells.selector(spec.get("selector")),
        ]  # fmt: skip


def template_generation(obj: Obj) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _set_template_generation(obj: Obj, generation: int) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**annotations, TEMPLATE_GENERATION: str(generation)}


def _strategy(strategy: Obj) -> list[Cause]:
    path = "spec.updateStrategy"
    match strategy.get("type"):
        case "OnDelete":
            return []
        case "RollingUpdate":
            if strategy.get("rollingUpdate") is None:
                return [causes.required(f"{path}.rollingUpdate")]
            return _rolling(strategy["rollingUpdate"], f"{path}.rollingUpdate")
    return [causes.not_supported(path, strategy, TYPES)]


def _rolling(rolling: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("maxUnavailable", "maxSurge"):
        found += scaling.share(rolling.get(key), f"{path}.{key}")
        found += scaling.at_most_all(rolling.get(key), f"{path}.{key}")
    surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
    if not scaling.is_zero(surge) and not scaling.is_zero(unavailable):
        detail = "may not be set when maxUnavailable is non-zero"
        found.append(causes.invalid(f"{path}.maxSurge", surge, detail))
    elif scaling.is_zero(surge) and scaling.is_zero(unavailable):
        found.append(causes.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found
