"""Sets of completion indexes in the form of a Job's status: `1,3-5,7`. Source: batch/v1 JobStatus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Interval(NamedTuple):
    """Both ends belong to it."""

    first: int
    last: int


class Indexes:
    """Ascending intervals that neither overlap nor touch. Immutable."""

    __slots__ = ("intervals",)

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self.intervals = tuple(_joined(sorted(intervals)))

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Indexes:
        return cls(Interval(index, index) for index in set(indexes))

    @classmethod
    def parse(cls, text: str, completions: int) -> Indexes:
        """What `text` says below `completions`; parts that are no interval say nothing."""
        return cls(found for part in text.split(",") if (found := _interval(part, completions)))

    def __str__(self) -> str:
        return ",".join(map(_written, self.intervals))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Indexes) and self.intervals == other.intervals

    def __hash__(self) -> int:
        return hash(self.intervals)

    def __len__(self) -> int:
        return sum(interval.last - interval.first + 1 for interval in self.intervals)

    def __contains__(self, index: int) -> bool:
        place = bisect_left(self.intervals, index, key=lambda interval: interval.last)
        return place < len(self.intervals) and self.intervals[place].first <= index

    def __or__(self, other: Indexes) -> Indexes:
        return Indexes((*self.intervals, *other.intervals))

    def common(self, other: Indexes) -> int:
        """How many indexes both have."""
        count, mine, theirs = 0, 0, 0
        while mine < len(self.intervals) and theirs < len(other.intervals):
            one, two = self.intervals[mine], other.intervals[theirs]
            count += max(0, min(one.last, two.last) - max(one.first, two.first) + 1)
            if one.last <= two.last:
                mine += 1
            else:
                theirs += 1
        return count

    def missing(self, completions: int) -> Iterator[int]:
        """The indexes below `completions` that are not in here, ascending."""
        candidate = 0
        for interval in self.intervals:
            yield from range(candidate, min(interval.first, completions))
            candidate = interval.last + 1
        yield from range(candidate, completions)


def _joined(intervals: Iterable[Interval]) -> Iterator[Interval]:
    current: Interval | None = None
    for interval in intervals:
        if current is None:
            current = interval
        elif interval.first <= current.last + 1:
            current = Interval(current.first, max(current.last, interval.last))
        else:
            yield current
            current = interval
    if current is not None:
        yield current


def _interval(part: str, completions: int) -> Interval | None:
    low, dash, high = part.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()) or int(low) >= completions:
        return None
    return Interval(int(low), min(int(high), completions - 1) if dash else int(low))


def _written(interval: Interval) -> str:
    """Two neighbours are written as two indexes, more of them as an interval."""
    first, last = interval
    if first == last:
        return str(first)
    return f"{first}{',' if last == first + 1 else '-'}{last}"
