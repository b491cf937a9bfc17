"""Leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, values


class Leases(Strategy):
    allow_create_on_update = True
    columns = cells.table("Name", "Holder", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        seconds = spec.get("leaseDurationSeconds")
        found = values.positive(seconds, "spec.leaseDurationSeconds")
        found += values.not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
        if spec.get("preferredHolder") and not spec.get("strategy"):
            detail = "may only be specified if `strategy` is defined"
            found.append(causes.forbidden("spec.preferredHolder", detail))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        holder = (obj.get("spec") or {}).get("holderIdentity") or ""
        return [obj["metadata"]["name"], holder, cells.age(obj, now)]


STRATEGIES: dict[Resource, type[Strategy]] = {resources.LEASES: Leases}
