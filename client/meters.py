"""What is counted of a work queue and of a client's requests, for whoever shows it.

Source: Kubernetes Metrics Reference, v1.36, workqueue_*, rest_client_*."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from time import monotonic

# Seconds: the upper bounds of the durations.
BOUNDS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)

ANSWERED = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class Durations:
    """Seconds, by the first of `bounds` that they are not above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """How many took at most so long."""
        texts = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return list(zip(texts, accumulate(self.counts), strict=True))


class QueueMeter:
    """Of one queue; one that is made anew under the same name goes on. `depth` tells how many keys wait."""

    def __init__(self) -> None:
        self.depth: Callable[[], int] = lambda: 0
        self.adds = 0
        self.retries = 0
        self.waited = Durations()
        self.worked = Durations()
        self._added: dict[Hashable, float] = {}
        self._begun: dict[Hashable, float] = {}

    def added(self, key: Hashable) -> None:
        self.adds += 1
        self._added[key] = monotonic()

    def taken(self, key: Hashable) -> None:
        self._begun[key] = now = monotonic()
        self.waited.add(now - self._added.pop(key, now))

    def done(self, key: Hashable) -> None:
        now = monotonic()
        self.worked.add(now - self._begun.pop(key, now))

    def unfinished(self) -> tuple[float, float]:
        """Seconds that what is worked on has taken so far: in all, and the longest."""
        now = monotonic()
        seconds = [now - since for since in self._begun.values()]
        return sum(seconds), max(seconds, default=0.0)


class RequestMeter:
    """Of one client: requests by (code, method, host), and how long answers took by (method, host). What got
    no answer counts as `<error>`."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.durations: dict[tuple[str, str], Durations] = {}

    def done(self, method: str, host: str, code: int | None, seconds: float) -> None:
        self.counts[str(code) if code is not None else "<error>", method, host] += 1
        key = (method, host)
        if (durations := self.durations.get(key)) is None:
            durations = self.durations[key] = Durations(ANSWERED)
        durations.add(seconds)
