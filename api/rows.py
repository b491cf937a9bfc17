"""Rows of Tables as bytes. What of a row depends on its object alone is made once per revision of the object
and kept with it; the ages, which change by themselves, are filled in when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from podium.api.groups.cells import MARK, Anytime, human
from podium.api.store.entry import Entry
from podium.api.strategy import Strategy
from podium.api.types import Obj

SOME_TIME = Anytime(2000, 1, 1, tzinfo=UTC)


class Cells(NamedTuple):
    """A row's cells and conditions, as `strategy` made them. `parts` are bytes and, in every second place,
    the Unix time that an age is counted from."""

    strategy: Strategy
    parts: Sequence[Any]


class Memo:
    """What is remembered with an entry: its cells, and where in its bytes the metadata is (None: not looked
    for yet)."""

    __slots__ = ("cells", "metadata")

    def __init__(self) -> None:
        self.cells: Cells | None = None
        self.metadata: slice | bytes | None = None


class Ages:
    """Ages as people say them, as of `now`; many objects are of one second."""

    def __init__(self, now: datetime) -> None:
        self._now = now.timestamp()
        self._known: dict[float, bytes] = {}

    def of(self, born: float) -> bytes:
        text = self._known.get(born)
        if text is None:
            text = self._known[born] = human(timedelta(seconds=self._now - born)).encode()
        return text


def row_cells(strategy: Strategy, entry: Entry, ages: Ages) -> bytes:
    """`{"cells":[...]` and the conditions; the brace is not closed."""
    memo = _memo(entry)
    cells = memo.cells
    if cells is None or cells.strategy is not strategy:
        cells = memo.cells = _cells(strategy, entry.obj)
    parts = cells.parts
    if len(parts) == 3:
        head, born, tail = parts
        filled: bytes = head + ages.of(born) + tail
        return filled
    return b"".join([ages.of(part) if index % 2 else part for index, part in enumerate(parts)])


def metadata(entry: Entry) -> bytes:
    """The object's metadata, as it stands in its bytes."""
    memo = _memo(entry)
    if memo.metadata is None:
        memo.metadata = _metadata(entry)
    return entry.value[memo.metadata] if isinstance(memo.metadata, slice) else memo.metadata


def _memo(entry: Entry) -> Memo:
    memo: Memo | None = entry.memo
    if memo is None:
        memo = entry.memo = Memo()
    return memo


def _cells(strategy: Strategy, obj: Obj) -> Cells:
    row: Obj = {"cells": strategy.row(obj, SOME_TIME)}
    if conditions := strategy.row_conditions(obj):
        row["conditions"] = conditions
    parts: list[Any] = MARK.split(orjson.dumps(row)[:-1])
    parts[1::2] = map(float, parts[1::2])
    return Cells(strategy, tuple(parts))


def _metadata(entry: Entry) -> slice | bytes:
    own = orjson.dumps(entry.obj["metadata"])
    start = entry.value.find(b'"metadata":' + own)
    if start < 0:
        # Encoded by something else, a long time ago.
        return own
    start += len(b'"metadata":')
    return slice(start, start + len(own))
