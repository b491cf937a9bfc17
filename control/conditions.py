"""Lists of status conditions, as new lists: nothing here changes its input."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.meta import timestamp


def find(conditions: Iterable[Obj], kind: str) -> Obj | None:
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def without(conditions: Iterable[Obj], kind: str) -> list[Obj]:
    return [entry for entry in conditions if entry.get("type") != kind]


def make(kind: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }


def put(conditions: Iterable[Obj], new: Obj) -> list[Obj]:
    """With `new` in place of the condition of its type. One that says the same (status and reason) stays as
    it is, and the transition time changes with the status only."""
    entries = list(conditions)
    current = find(entries, new["type"])
    if current is not None and current.get("status") == new["status"]:
        if current.get("reason") == new.get("reason"):
            return entries
        new = {**new, "lastTransitionTime": current.get("lastTransitionTime", new["lastTransitionTime"])}
    return [*without(entries, new["type"]), new]
