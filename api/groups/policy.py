"""PodDisruptionBudgets."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, scaling, values
from podium.api.validation.conditions import check_conditions
from podium.api.validation.selectors import label_selector

EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class PodDisruptionBudgets(Strategy):
    has_generation = True
    columns = cells.table("Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age")
    first_status = MappingProxyType(
        {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}
    )
    status_keeps = ()

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found: list[Cause] = []
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            detail = "minAvailable and maxUnavailable cannot be both set"
            found.append(causes.invalid("spec", spec, detail))
        for key in ("minAvailable", "maxUnavailable"):
            found += scaling.share(spec.get(key), f"spec.{key}")
            found += scaling.at_most_all(spec.get(key), f"spec.{key}")
        found += label_selector(spec.get("selector"), "spec.selector")
        policy = spec.get("unhealthyPodEvictionPolicy")
        return found + values.optional_one_of(policy, "spec.unhealthyPodEvictionPolicy", EVICTION_POLICIES)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        found = check_conditions(status.get("conditions") or (), "status.conditions")
        for key in self.first_status:
            found += values.not_negative(status.get(key), f"status.{key}")
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        return [
            obj["metadata"]["name"], str(spec.get("minAvailable", "N/A")),
            str(spec.get("maxUnavailable", "N/A")), status.get("disruptionsAllowed", 0), cells.age(obj, now),
        ]  # fmt: skip


STRATEGIES: dict[Resource, type[Strategy]] = {resources.POD_DISRUPTION_BUDGETS: PodDisruptionBudgets}
