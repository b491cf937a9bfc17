"""Answers counted against thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from podium.api.types import Obj


@dataclass(slots=True)
class Tally:
    """Consecutive equal answers. A verdict is reached when there are as many as the probe's threshold for
    them."""

    success_threshold: int
    failure_threshold: int
    last: bool | None = None
    run: int = 0

    @classmethod
    def of(cls, probe: Obj) -> Tally:
        return cls(int(probe.get("successThreshold", 1)), int(probe.get("failureThreshold", 3)))

    def count(self, ok: bool) -> bool | None:
        """The verdict after one more answer, None while it is open."""
        self.run = self.run + 1 if self.last is ok else 1
        self.last = ok
        enough = self.success_threshold if ok else self.failure_threshold
        return ok if self.run >= enough else None
