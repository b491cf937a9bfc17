"""ComponentStatuses and Bindings: what is asked for or posted, and never stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes


class ComponentStatuses(Strategy):
    columns = cells.table("Name", "Status", "Message", "Error")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        for entry in obj.get("conditions") or ():
            if entry.get("type") == "Healthy":
                status = "Healthy" if entry.get("status") == "True" else "Unhealthy"
                return [obj["metadata"]["name"], status, entry.get("message", ""), entry.get("error", "")]
        return [obj["metadata"]["name"], "Unknown", "", ""]


class Bindings(Strategy):
    def check(self, obj: Obj) -> list[Cause]:
        target = obj.get("target") or {}
        found: list[Cause] = []
        if target.get("kind") not in (None, "", "Node"):
            found.append(causes.not_supported("target.kind", target["kind"], ("Node", "<empty>")))
        if not target.get("name"):
            found.append(causes.required("target.name"))
        return found
