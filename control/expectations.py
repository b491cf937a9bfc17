"""What a controller has set in motion and has not yet seen in its cache.

A controller that creates three pods and is called again before its watch shows them would create three more.
So it writes down what it expects, every event it sees is ticked off, and until all is seen it changes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

TIMEOUT = 300.0  # seconds after which a lost event no longer blocks


@dataclass(slots=True)
class _Expected:
    creations: int
    deletions: set[str] = field(default_factory=set)
    since: float = 0.0


class Expectations:
    """By controller key. Deletions are expected by pod uid, since a terminating pod is seen several times."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._expected: dict[str, _Expected] = {}

    def expect(self, key: str, *, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        self._expected[key] = _Expected(creations, set(deletions), self._now())

    def created(self, key: str, count: int = 1) -> None:
        """`count` creations were seen, or will never be, because they failed."""
        if expected := self._expected.get(key):
            expected.creations -= count

    def deleted(self, key: str, uid: str) -> None:
        if expected := self._expected.get(key):
            expected.deletions.discard(uid)

    def forget(self, key: str) -> None:
        self._expected.pop(key, None)

    def satisfied(self, key: str) -> bool:
        """Whether everything expected for `key` was seen, or has been waited for too long."""
        expected = self._expected.get(key)
        if expected is None or self._now() - expected.since > TIMEOUT:
            return True
        return expected.creations <= 0 and not expected.deletions
