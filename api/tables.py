"""Answers that are not the object itself: metav1.Table, as kubectl prints it, and
metav1.PartialObjectMetadata."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import orjson

from podium.api.ask import Outcome
from podium.api.kinds import Kind
from podium.api.types import Obj
from podium.api.types.errors import Cause, invalid
from podium.api.verbs.list import Page

# What stands in a row's `object`, by the request's includeObject: nothing, the metadata, or all of it.
INCLUDED = ("Metadata", "None", "Object")
API = "meta.k8s.io"
# Bytes that are handed to the transport at once.
PIECE = 1 << 19
# Rendering so many takes about 4 ms.
ROWS_AT_ONCE = 100


class Tabulator:
    """Makes Tables of one kind for one request."""

    def __init__(self, kind: Kind, include: str, version: str, now: datetime) -> None:
        """Raises 422 for an `include` that is none of INCLUDED."""
        if include and include not in INCLUDED:
            text = f'Unsupported value: "{include}": supported values: "Metadata", "None", "Object"'
            raise invalid("TableOptions", "", [Cause("FieldValueNotSupported", text, "includeObject")], API)
        self._strategy = kind.strategy
        self._include = include or "Metadata"
        self._api_version = f"{API}/{version}"
        self._now = now

    def rows(self, outcomes: Iterable[Outcome]) -> list[Obj]:
        return [self._row(outcome) for outcome in outcomes]

    def _row(self, outcome: Outcome) -> Obj:
        strategy, obj = self._strategy, outcome.obj
        row: Obj = {"cells": strategy.row(obj, self._now)}
        if conditions := strategy.row_conditions(obj):
            row["conditions"] = conditions
        if self._include == "Object":
            row["object"] = orjson.Fragment(outcome.value)
        elif self._include != "None":
            row["object"] = partial(obj, self._api_version)
        return row

    def table(self, rows: list[Obj], meta: Obj, *, head: bool = True) -> Obj:
        """`head` tells the columns too; in a watch only the first Table does."""
        columns = [column.wire() for column in self._strategy.columns] if head else []
        return {
            "kind": "Table",
            "apiVersion": self._api_version,
            "metadata": meta,
            "columnDefinitions": columns,
            "rows": rows,
        }

    def of_one(self, outcome: Outcome) -> bytes:
        meta = {"resourceVersion": outcome.obj["metadata"].get("resourceVersion", "")}
        return orjson.dumps(self.table(self.rows([outcome]), meta))

    async def of_page(self, page: Page) -> Sequence[bytes]:
        """The Table, in pieces."""
        return await _pieces(self.table([], page_metadata(page)), page, self.rows)

    def of_change(self, outcome: Outcome, *, head: bool) -> Obj:
        meta = {"resourceVersion": outcome.obj["metadata"].get("resourceVersion", "")}
        return self.table(self.rows([outcome]), meta, head=head)


def partial(obj: Obj, api_version: str = f"{API}/v1") -> Obj:
    """PartialObjectMetadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]}


async def partial_list(page: Page, version: str) -> Sequence[bytes]:
    """PartialObjectMetadataList, in pieces."""
    api_version = f"{API}/{version}"
    listed = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": api_version,
        "metadata": page_metadata(page),
        "items": [],
    }
    return await _pieces(
        listed, page, lambda outcomes: [partial(outcome.obj, api_version) for outcome in outcomes]
    )


async def _pieces(
    frame: Obj, page: Page, render: Callable[[Sequence[Outcome]], list[Obj]]
) -> Sequence[bytes]:
    """`frame`, whose last member is an empty list, with that list filled; others get their turn in
    between."""
    pieces = [orjson.dumps(frame)[: -len(b"]}")]]
    for start in range(0, len(page.items), ROWS_AT_ONCE):
        if start:
            pieces.append(b",")
            await asyncio.sleep(0)
        pieces.append(orjson.dumps(render(page.items[start : start + ROWS_AT_ONCE]))[1:-1])
    return [*pieces, b"]}"]


def page_metadata(page: Page) -> Obj:
    """metav1.ListMeta."""
    meta: Obj = {"resourceVersion": str(page.revision)}
    if page.token:
        meta["continue"] = page.token
    if page.remaining:
        meta["remainingItemCount"] = page.remaining
    return meta


def plain_list(kind: Kind, page: Page) -> Sequence[bytes]:
    """The list as pieces to send one after the other: the stored bytes are joined, never encoded again."""
    meta = orjson.dumps(page_metadata(page))
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.resource.list_kind_name.encode(),
        kind.resource.api_version.encode(),
        meta,
    )
    pieces: list[bytes] = []
    start, size, items = 0, 0, page.items
    values = [item.value for item in items]
    for index, value in enumerate(values):
        size += len(value)
        if size > PIECE:
            pieces.append(b",".join(values[start : index + 1]) + b",")
            start, size = index + 1, 0
    pieces.append(b",".join(values[start:]))
    if pieces[-1] == b"" and len(pieces) > 1:
        pieces.pop()
        pieces[-1] = pieces[-1][:-1]
    pieces[0] = head + pieces[0]
    pieces[-1] += b"]}"
    return pieces
