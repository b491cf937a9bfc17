"""Answers that are not the object itself: metav1.Table, as kubectl prints it, and
metav1.PartialObjectMetadata."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from time import perf_counter

import orjson

from podium.api.ask import Outcome
from podium.api.exchange import Pieces
from podium.api.kinds import Kind
from podium.api.rows import Ages, metadata, row_cells
from podium.api.store.base import Entry
from podium.api.types import Obj
from podium.api.types.errors import Cause, invalid
from podium.api.types.resources import Resource
from podium.api.verbs.list import Page

# What stands in a row's `object`, by the request's includeObject: nothing, the metadata, or all of it.
INCLUDED = ("Metadata", "None", "Object")
API = "meta.k8s.io"
# Bytes that are handed to the transport at once.
PIECE = 1 << 17
# Rendering so many takes at most about 2 ms, and a twentieth of that when they have been rendered before.
ROWS_AT_ONCE = 50
VALUES_AT_ONCE = 500
# Seconds after which others get their turn on the loop.
TURN = 0.003


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
        """`head` tells the columns too; in a watch only the first Table does, and others have null there."""
        columns = [column.wire() for column in self._strategy.columns] if head else None
        return {
            "kind": "Table",
            "apiVersion": self._api_version,
            "metadata": meta,
            "columnDefinitions": columns,
            "rows": rows,
        }

    def of_bookmark(self, mark: Obj, *, head: bool) -> Obj:
        """One row without content, since only a row has annotations; `mark` is the bookmark without Table."""
        row: Obj = {"cells": ["" for _ in self._strategy.columns], "object": mark}
        return self.table([row], {"resourceVersion": mark["metadata"]["resourceVersion"]}, head=head)

    def of_one(self, outcome: Outcome) -> bytes:
        meta = {"resourceVersion": outcome.obj["metadata"].get("resourceVersion", "")}
        return orjson.dumps(self.table(self.rows([outcome]), meta))

    async def of_page(self, page: Page) -> Pieces:
        """The Table, in pieces."""
        ages = Ages(self._now)
        head = b',"object":{"kind":"PartialObjectMetadata","apiVersion":"%b","metadata":' % (
            self._api_version.encode()
        )

        def render(outcome: Outcome) -> bytes:
            if not isinstance(outcome, Entry):
                return orjson.dumps(self._row(outcome))
            cells = row_cells(self._strategy, outcome, ages)
            if self._include == "Metadata":
                return b"%b%b%b}}" % (cells, head, metadata(outcome))
            if self._include == "Object":
                return b'%b,"object":%b}' % (cells, outcome.value)
            return cells + b"}"

        return await _pieces(self.table([], page_metadata(page)), page, render)

    def of_change(self, outcome: Outcome, *, head: bool) -> Obj:
        meta = {"resourceVersion": outcome.obj["metadata"].get("resourceVersion", "")}
        return self.table(self.rows([outcome]), meta, head=head)


def partial(obj: Obj, api_version: str = f"{API}/v1") -> Obj:
    """PartialObjectMetadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]}


async def partial_list(page: Page, version: str, *, typed: bool = False) -> Pieces:
    """PartialObjectMetadataList, in pieces; `typed` as in `Accepted`."""
    api_version = f"{API}/{version}"
    listed = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": api_version,
        "metadata": page_metadata(page),
        "items": [],
    }
    kind = b"" if typed else b'"kind":"PartialObjectMetadata","apiVersion":"%b",' % api_version.encode()
    head = b'{%b"metadata":' % kind

    def render(outcome: Outcome) -> bytes:
        if isinstance(outcome, Entry):
            return b"%b%b}" % (head, metadata(outcome))
        return b"%b%b}" % (head, orjson.dumps(outcome.obj["metadata"]))

    return await _pieces(listed, page, render)


async def _pieces(frame: Obj, page: Page, render: Callable[[Outcome], bytes]) -> Pieces:
    """`frame`, whose last member is an empty list, with that list filled; others get their turn in
    between."""
    parts = [orjson.dumps(frame)[: -len(b"]}")]]
    began = perf_counter()
    for start in range(0, len(page.items), ROWS_AT_ONCE):
        if start and perf_counter() - began > TURN:
            await asyncio.sleep(0)
            began = perf_counter()
        rendered = b",".join(map(render, page.items[start : start + ROWS_AT_ONCE]))
        parts.append(b"," + rendered if start else rendered)
    parts.append(b"]}")
    return Pieces(sum(map(len, parts)), parts)


def page_metadata(page: Page) -> Obj:
    """metav1.ListMeta."""
    meta: Obj = {"resourceVersion": str(page.revision)}
    if page.token:
        meta["continue"] = page.token
    if page.remaining:
        meta["remainingItemCount"] = page.remaining
    return meta


async def plain_list(kind: Kind, page: Page) -> Pieces:
    """The list as pieces to send one after the other: the stored bytes are joined, never encoded again."""
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.resource.list_kind_name.encode(),
        kind.resource.api_version.encode(),
        orjson.dumps(page_metadata(page)),
    )
    marks = (b"", b"") if kind.says_kind else _marks(kind.resource)
    cut = len(marks[0])
    values: list[bytes] = []
    size = len(head) + len(b"]}")
    began = perf_counter()
    for start in range(0, len(page.items), VALUES_AT_ONCE):
        if start and perf_counter() - began > TURN:
            await asyncio.sleep(0)
            began = perf_counter()
        some = [item.value for item in page.items[start : start + VALUES_AT_ONCE]]
        if cut:
            some = [value if value.startswith(marks) else _marked(value, marks[0]) for value in some]
        size += sum(map(len, some))
        values += some
    # A brace stands for what is cut off.
    size += max(len(values) - 1, 0) - len(values) * max(cut - 1, 0)
    return Pieces(size, _joined(head, values, cut))


def _marks(resource: Resource) -> tuple[bytes, bytes]:
    """What the bytes of an object begin with, in either order."""
    kind, version = resource.kind.encode(), resource.api_version.encode()
    return (
        b'{"kind":"%b","apiVersion":"%b",' % (kind, version),
        b'{"apiVersion":"%b","kind":"%b",' % (version, kind),
    )


def _marked(value: bytes, mark: bytes) -> bytes:
    """Of an object that was stored in another order."""
    rest = {key: part for key, part in orjson.loads(value).items() if key not in ("kind", "apiVersion")}
    return mark + orjson.dumps(rest)[1:]


def _joined(head: bytes, values: list[bytes], cut: int) -> Iterator[bytes]:
    """Made when they are sent, so that a large list is not in memory twice."""
    brace = b"{" if cut else b""
    between = b"," + brace
    start, size = 0, 0
    for index, value in enumerate(values):
        size += len(value)
        if size > PIECE:
            yield head + brace + between.join([value[cut:] for value in values[start : index + 1]])
            head, start, size = b",", index + 1, 0
    if rest := values[start:]:
        yield head + brace + between.join([value[cut:] for value in rest]) + b"]}"
    else:
        yield b"]}" if start else head + b"]}"
