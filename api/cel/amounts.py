"""Sizes and costs, which stay below 2**64."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from podium.api.cel.sizes import DYN, Shape

UNLIMITED = 2**64 - 1
TRAVERSAL, PATTERN = 0.1, 0.25
LIST, MAP, MESSAGE = 10, 30, 40
CHECK = 350_000
SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})


class Size(NamedTuple):
    """How many elements or characters, at least and at most."""

    least: int
    most: int

    def plus(self, other: Size) -> Size:
        return Size(cap(self.least + other.least), cap(self.most + other.most))

    def times(self, other: Size) -> Size:
        return Size(cap(self.least * other.least), cap(self.most * other.most))

    def or_(self, other: Size) -> Size:
        return Size(min(self.least, other.least), max(self.most, other.most))


UNKNOWN = Size(0, UNLIMITED)


class Found(NamedTuple):
    """A part of the expression: what it costs with all below, its type, its size where the expression tells
    it, and the sizes of a container's keys and values."""

    cost: int
    type: Shape = DYN
    known: Size | None = None
    entries: tuple[Size, Size] | None = None

    @property
    def size(self) -> Size:
        if self.known is not None:
            return self.known
        if self.type.most is not None:
            return Size(0, self.type.most)
        return Size(1, 1) if self.type.kind in SCALARS else UNKNOWN


def union(sizes: Iterable[Size]) -> Size:
    found = list(sizes)
    if not found:
        return Size(0, 0)
    return Size(min(each.least for each in found), max(each.most for each in found))


def part(count: int, factor: float) -> int:
    return cap(math.ceil(count * factor))


def cap(cost: int) -> int:
    return min(cost, UNLIMITED)
