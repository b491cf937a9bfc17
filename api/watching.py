"""A watch as an HTTP answer that does not end: one line of JSON per event."""

from __future__ import annotations

import random
from collections.abc import Callable

import orjson

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core, shown
from podium.api.exchange import Exchange
from podium.api.negotiation import Accepted
from podium.api.presenting import headers_for, tabulator
from podium.api.store.base import Batch, Event, WatchDropped
from podium.api.tables import Tabulator, partial
from podium.api.types import Obj
from podium.api.types.errors import StatusError, expired
from podium.api.verbs.list import ListOptions
from podium.api.verbs.watch import Bookmark, Change, Step, Stream, WatchOptions, open_stream

# A watch without a timeout of its own ends after one to two of these, so that clients do not all come back
# at once.
TIMEOUT = 1800
BOOKMARK_EVERY = 60
# A year of seconds: as good as without an end.
LONGEST = 365 * 24 * 3600

Encode = Callable[[Step], bytes]


async def watch(core: Core, exchange: Exchange, ask: Ask, accepted: Accepted, selection: ListOptions) -> None:
    """Streams until the time is over, the client is gone or the server stops. Raises 400, 422; what happens
    later, and a revision that is no longer there, is an ERROR event."""
    timeout = exchange.number("timeoutSeconds") or 0
    options = WatchOptions(
        selection,
        min(timeout, LONGEST) if timeout > 0 else random.uniform(TIMEOUT, 2 * TIMEOUT),
        BOOKMARK_EVERY if exchange.flag("allowWatchBookmarks") else 0,
    )
    encode = _encoder(core, exchange, ask, accepted)
    try:
        stream = open_stream(core, ask, options)
    except StatusError as error:
        if error.code != 410:
            raise
        await exchange.begin(200, headers_for(ask))
        await exchange.write(_error_line(error))
        await exchange.end()
        return
    try:
        await exchange.begin(200, headers_for(ask))
        if exchange.seat is not None:
            # From here on it waits for what happens, which costs nobody anything.
            exchange.seat.leave()
        await exchange.while_connected(_send(exchange, stream, encode))
    finally:
        stream.close()


async def _send(exchange: Exchange, stream: Stream, encode: Encode) -> None:
    try:
        async for step in stream.steps():
            if not isinstance(step, Bookmark):
                exchange.events += len(step)
            await exchange.write(encode(step))
    except WatchDropped:
        # As upstream does: the stream ends, and the client watches again from where it was.
        pass
    except StatusError as error:
        await exchange.write(_error_line(error))
    await exchange.end()


def _error_line(error: StatusError) -> bytes:
    status = error.status() if error.code != 410 else expired(error.message).status()
    return orjson.dumps({"type": "ERROR", "object": status}) + b"\n"


def _encoder(core: Core, exchange: Exchange, ask: Ask, accepted: Accepted) -> Encode:
    if accepted.form == "Table":
        return _TableEncoder(core, exchange, ask, accepted)
    if accepted.form:
        return _PartialEncoder(ask, accepted)
    if ask.kind.conversion:
        return _ConvertedEncoder(ask)
    return _PlainEncoder(ask)


class _PlainEncoder:
    """The objects as they are: their lines are made once for all watchers."""

    def __init__(self, ask: Ask) -> None:
        self._resource = ask.kind.resource

    def __call__(self, step: Step) -> bytes:
        if isinstance(step, Bookmark):
            return _line("BOOKMARK", bookmark(self._resource.kind, self._resource.api_version, step))
        if isinstance(step, Batch):
            return step.lines
        if len(step) == 1:
            return step[0].event.wire(step[0].type)
        return b"".join([change.event.wire(change.type) for change in step])


class _ConvertedEncoder(_PlainEncoder):
    """The objects in another version than they are kept in."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._kind = ask.kind

    def __call__(self, step: Step) -> bytes:
        if isinstance(step, Bookmark):
            return super().__call__(step)
        return b"".join([_line(change.type, shown(self._kind, subject(change)).obj) for change in step])


class _PartialEncoder:
    """Only the metadata."""

    def __init__(self, ask: Ask, accepted: Accepted) -> None:
        self._api_version = f"meta.k8s.io/{accepted.version}"

    def __call__(self, step: Step) -> bytes:
        if isinstance(step, Bookmark):
            return _line("BOOKMARK", bookmark("PartialObjectMetadata", self._api_version, step))
        return b"".join([_line(each.type, partial(subject(each).obj, self._api_version)) for each in step])


class _TableEncoder:
    """One Table per event, the columns in the first only."""

    def __init__(self, core: Core, exchange: Exchange, ask: Ask, accepted: Accepted) -> None:
        self._kind = ask.kind
        self._api_version = f"meta.k8s.io/{accepted.version}"
        self._head = True
        self._make: Callable[[], Tabulator] = lambda: tabulator(core, exchange, ask.kind, accepted)
        # What is wrong with the request shows now, and not with the first event.
        self._make()

    def __call__(self, step: Step) -> bytes:
        tables = self._make()
        if isinstance(step, Bookmark):
            table = tables.of_bookmark(
                bookmark("PartialObjectMetadata", self._api_version, step), head=self._take_head()
            )
            return _line("BOOKMARK", table)
        lines = []
        for change in step:
            table = tables.of_change(shown(self._kind, subject(change)), head=self._take_head())
            lines.append(_line(change.type, table))
        return b"".join(lines)

    def _take_head(self) -> bool:
        head, self._head = self._head, False
        return head


def subject(change: Change | Event) -> Outcome:
    """The object of an event. One that a watcher no longer selects is shown as it was while it did."""
    event = change.event
    if change.type != "DELETED" or event.type == "DELETED" or event.prev is None:
        return event.entry
    obj = copied(event.prev.obj)
    obj["metadata"]["resourceVersion"] = str(event.revision)
    return Made(obj)


def bookmark(kind: str, api_version: str, step: Bookmark) -> Obj:
    meta: Obj = {"resourceVersion": str(step.revision), "creationTimestamp": None}
    if step.initial:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": kind, "apiVersion": api_version, "metadata": meta}


def _line(type: str, obj: Obj) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type.encode(), orjson.dumps(obj))
