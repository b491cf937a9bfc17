"""FlowSchemas and PriorityLevelConfigurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, values

PRECEDENCE, HIGHEST_PRECEDENCE = 1000, 10000
SHARES, HAND_SIZE, QUEUES, QUEUE_LENGTH = 30, 8, 64, 50
TYPES = ("Exempt", "Limited")


class FlowSchemas(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"
    )

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec["matchingPrecedence"] = spec.get("matchingPrecedence") or PRECEDENCE

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        precedence = spec["matchingPrecedence"]
        if not 0 < precedence <= HIGHEST_PRECEDENCE:
            detail = f"must be between 1 and {HIGHEST_PRECEDENCE}"
            found.append(causes.invalid("spec.matchingPrecedence", precedence, detail))
        if not (spec.get("priorityLevelConfiguration") or {}).get("name"):
            detail = "must reference a priority level"
            found.append(causes.required("spec.priorityLevelConfiguration.name", detail))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        conditions = (obj.get("status") or {}).get("conditions") or ()
        missing = next((entry.get("status") for entry in conditions if entry.get("type") == "Dangling"), "?")
        return [
            obj["metadata"]["name"], (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
            spec.get("matchingPrecedence", 0),
            (spec.get("distinguisherMethod") or {}).get("type") or cells.NONE, cells.age(obj, now), missing,
        ]  # fmt: skip


class PriorityLevels(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"
    )

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        if (exempt := spec.get("exempt")) is not None:
            exempt.setdefault("nominalConcurrencyShares", 0)
            exempt.setdefault("lendablePercent", 0)
        if (limited := spec.get("limited")) is None:
            return
        limited.setdefault("nominalConcurrencyShares", SHARES)
        limited.setdefault("lendablePercent", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for key, value in (
                ("handSize", HAND_SIZE),
                ("queues", QUEUES),
                ("queueLengthLimit", QUEUE_LENGTH),
            ):
                queuing[key] = queuing.get(key) or value

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.one_of(spec.get("type"), "spec.type", TYPES)
        if spec.get("type") == "Limited" and spec.get("limited") is None:
            found.append(causes.required("spec.limited", "must not be empty when type is Limited"))
        if spec.get("type") == "Exempt" and spec.get("limited") is not None:
            detail = "must be nil if the type is not Limited"
            found.append(causes.forbidden("spec.limited", detail))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        limited = spec.get("limited") or {}
        queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
        keys = ("queues", "handSize", "queueLengthLimit")
        return [
            obj["metadata"]["name"], spec.get("type", ""), limited.get("nominalConcurrencyShares",
            cells.NONE),
            *(queuing.get(key, cells.NONE) for key in keys), cells.age(obj, now),
        ]  # fmt: skip


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.FLOW_SCHEMAS: FlowSchemas,
    resources.PRIORITY_LEVEL_CONFIGURATIONS: PriorityLevels,
}
