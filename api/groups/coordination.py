"""Leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, names, values

OLDEST = "OldestEmulationVersion"


class Leases(Strategy):
    allow_create_on_update = True
    disabled = ("strategy", "preferredHolder")
    columns = cells.table("Name", "Holder", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        seconds = spec.get("leaseDurationSeconds")
        found = []
        if seconds is not None and seconds <= 0:
            found.append(causes.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
        found += values.not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
        if (strategy := spec.get("strategy")) is not None:
            found += _strategy(strategy, "spec.strategy.strategy")
        if spec.get("preferredHolder") and not spec.get("strategy"):
            detail = "may only be specified if `strategy` is defined"
            found.append(causes.forbidden("spec.preferredHolder", detail))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        holder = (obj.get("spec") or {}).get("holderIdentity") or ""
        return [obj["metadata"]["name"], holder, cells.age(obj, now)]


def _strategy(strategy: str, path: str) -> list[Cause]:
    """How the holder is chosen: in one known way, or in one that a domain vouches for."""
    parts = strategy.split("/")
    if len(parts) == 1:
        if strategy == OLDEST:
            return []
        return [causes.not_supported(path, strategy, (OLDEST,))]
    return values.named(strategy, path, names.qualified)


STRATEGIES: dict[Resource, type[Strategy]] = {resources.LEASES: Leases}
