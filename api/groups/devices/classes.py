"""DeviceClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.pod_validation.resources import is_extended
from podium.api.groups.devices import parts
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes


class Aged(Strategy):
    columns = cells.table("Name", "Age")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], cells.age(obj, now)]


class DeviceClasses(Aged):
    has_generation = True

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found = parts.selectors(spec.get("selectors"), "spec.selectors")
        found += parts.each(spec.get("config"), parts.MOST_CONFIGS, parts.configuration, "spec.config")
        name = spec.get("extendedResourceName")
        if name is not None and not is_extended(name):
            detail = "must be a valid extended resource name"
            found.append(causes.invalid("spec.extendedResourceName", name, detail))
        return found
