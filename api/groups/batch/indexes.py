"""Sets of completion indexes such as `1,3-5,7`, as somebody else may have written them."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    first: int
    last: int


def parse(text: str, completions: int) -> list[Interval]:
    """Raises ValueError, in upstream's words, for what is no ascending list of indexes below
    `completions`."""
    found: list[Interval] = []
    for part in text.split(",") if text else ():
        interval = _interval(part, completions)
        if found and found[-1].last >= interval.first:
            raise ValueError(f"non-increasing order, previous: {found[-1].last}, current: {interval.first}")
        found.append(interval)
    return found


def _interval(part: str, completions: int) -> Interval:
    limits = part.split("-")
    if len(limits) > 2:
        raise ValueError(
            f'the fragment "{part}" violates the requirement that an index interval can have at most two '
            "parts separated by '-'"
        )
    numbers = [_index(limit, completions) for limit in limits]
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise ValueError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return Interval(numbers[0], numbers[-1])


def _index(text: str, completions: int) -> int:
    if not (text.isascii() and text.removeprefix("+").isdecimal()):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def total(intervals: list[Interval]) -> int:
    return sum(interval.last - interval.first + 1 for interval in intervals)


def overlap(one: list[Interval], other: list[Interval]) -> int | None:
    """The first index that is in both."""
    shared = [
        max(mine.first, theirs.first)
        for mine in one
        for theirs in other
        if mine.first <= theirs.last and theirs.first <= mine.last
    ]
    return min(shared, default=None)
