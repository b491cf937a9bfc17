"""The status of a HorizontalPodAutoscaler while it is being worked out. Nothing here changes its input."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.meta import timestamp

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"


class Draft:
    """The new status, begun with the conditions of the old one."""

    def __init__(self, old: Obj, now: datetime) -> None:
        self._old = old
        self._now = now
        self._conditions: list[Obj] = list(old.get("conditions") or ())
        self._rest: Obj = {key: value for key, value in old.items() if key != "conditions"}

    def condition(self, kind: str, holds: bool, reason: str, message: str) -> None:
        """Sets one. Its time is that of the last change between True and False."""
        made = {
            "type": kind,
            "status": str(holds),
            "lastTransitionTime": timestamp(self._now),
            "reason": reason,
            "message": message,
        }
        for index, entry in enumerate(self._conditions):
            if entry["type"] == kind:
                if entry["status"] == made["status"]:
                    made["lastTransitionTime"] = entry["lastTransitionTime"]
                self._conditions[index] = made
                return
        self._conditions.append(made)

    def sizes(self, current: int, desired: int | None, metrics: Sequence[Obj], *, scaled: bool) -> None:
        """What is and what is wanted; without `desired`, what was wanted before."""
        wanted = self._old.get("desiredReplicas", 0) if desired is None else desired
        self._rest = {"currentReplicas": current, "desiredReplicas": wanted}
        if metrics:
            self._rest["currentMetrics"] = list(metrics)
        if scaled:
            self._rest["lastScaleTime"] = timestamp(self._now)
        elif last := self._old.get("lastScaleTime"):
            self._rest["lastScaleTime"] = last

    @property
    def status(self) -> Obj:
        return {**self._rest, "conditions": list(self._conditions)}
