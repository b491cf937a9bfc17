"""How soon a daemon pod that failed on a node is made there again: later each time, up to a quarter of an
hour."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

FIRST, MOST = 1.0, 900.0  # seconds


class _Pause(NamedTuple):
    seconds: float
    since: datetime


class FailureBackoff:
    """By (DaemonSet uid, its generation, node): a new template starts afresh."""

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, int, str], _Pause] = {}

    def left(self, key: tuple[str, int, str], now: datetime) -> float:
        """Seconds still to wait, 0 when the next pod may be made."""
        pause = self._pauses.get(key)
        return max(0.0, pause.seconds - _seconds(pause.since, now)) if pause is not None else 0.0

    def note(self, key: tuple[str, int, str], now: datetime) -> None:
        """A failed pod is being replaced: the next one waits twice as long. What lies long back is
        forgotten."""
        self._pauses = {
            known: pause for known, pause in self._pauses.items() if _seconds(pause.since, now) <= 2 * MOST
        }
        before = self._pauses.get(key)
        seconds = FIRST if before is None else min(2 * before.seconds, MOST)
        self._pauses[key] = _Pause(seconds, now)


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
