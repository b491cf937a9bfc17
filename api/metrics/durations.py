"""How long things took, by their labels: a histogram that costs a comparison and two additions each time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from podium.api.metrics.exposition import Family


class Taken:
    """The times of the same labels."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.seconds += seconds * times


class Durations:
    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._text = name, text
        self._labels, self._bounds = labels, bounds
        self._shown = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._taken: dict[tuple[str, ...], Taken] = {}

    def of(self, *labels: str) -> Taken:
        """Those of these labels, to be added to."""
        found = self._taken.get(labels)
        if found is None:
            found = self._taken[labels] = Taken(self._bounds)
        return found

    def family(self) -> Family:
        series = [
            (labels, (list(zip(self._shown, accumulate(taken.counts), strict=True)), taken.seconds))
            for labels, taken in sorted(self._taken.items())
        ]
        return Family(self._name, "histogram", self._text, self._labels, series)
