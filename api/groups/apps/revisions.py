"""ControllerRevisions: snapshots that StatefulSets and DaemonSets roll back to. Their data never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, meta
from podium.api.types.errors import Cause
from podium.api.validation import causes, values


class ControllerRevisions(Strategy):
    columns = cells.table("Name", "Controller", "Revision", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        found = values.not_negative(obj.get("revision", 0), "revision")
        if obj.get("data") is None:
            found.append(causes.required("data", "data is mandatory"))
        elif not isinstance(obj["data"], dict):
            found.append(causes.required("data", "data must be a valid JSON object"))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = values.not_negative(new.get("revision", 0), "revision")
        return (
            found
            if new.get("data") == old.get("data")
            else [*found, causes.immutable("data", new.get("data"))]
        )

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        owner = meta.controller_of(obj)
        text = cells.NONE
        if owner:
            group = owner.get("apiVersion", "").rpartition("/")[0]
            kind = f"{owner['kind']}.{group}" if group else owner["kind"]
            text = f"{kind.lower()}/{owner['name']}"
        return [obj["metadata"]["name"], text, obj.get("revision", 0), cells.age(obj, now)]
