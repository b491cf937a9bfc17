"""Watching a collection: what changes, from a revision on, as far as the request selects it.

A stream begins behind a revision, or with the present objects. It is one store watch; events come as the
store hands them out, many at once when there are many, and each is encoded once for everybody who sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from podium.api.ask import Ask
from podium.api.core import Closable, Core
from podium.api.kinds import Kind, Translation
from podium.api.store.base import Entry, Event, Store, Watch
from podium.api.verbs.list import TURN, ListOptions
from podium.api.verbs.selecting import Predicate, select
from podium.api.verbs.versions import check_match, parse


class WatchOptions(NamedTuple):
    """`timeout` in seconds: the server ends the stream then. `bookmark_every` in seconds, 0 for no
    bookmarks."""

    selection: ListOptions
    timeout: float
    bookmark_every: float = 0


class Change(NamedTuple):
    """One event as its watcher sees it: `type` may differ from the event's own where a selector is at
    work."""

    type: str
    event: Event


class Bookmark(NamedTuple):
    """Everything up to `revision` has been seen. `initial` ends the initial events."""

    revision: int
    initial: bool = False


Step = Sequence[Change | Event] | Bookmark


class Stream:
    """An opened watch. Iterate over `steps()` once, then `close()`, whatever happened."""

    def __init__(
        self,
        watch: Watch,
        matches: Predicate | None,
        options: WatchOptions,
        initial: Iterable[Entry],
        marked: bool,
        kind: Kind,
    ) -> None:
        self._watch = watch
        self.kind = kind
        self._matches = matches
        self._options = options
        self._initial = list(initial)
        self._marked = marked
        self._start = watch.progress
        self._peers: set[Closable] = set()

    def join(self, peers: set[Closable]) -> None:
        """Be among `peers` until closed."""
        self._peers = peers
        peers.add(self)

    def close(self) -> None:
        self._peers.discard(self)
        self._watch.close()

    async def steps(self) -> AsyncIterator[Step]:
        """Ends when its time is over or the server stops. Raises 410 and WatchDropped."""
        for start in range(0, len(self._initial), TURN):
            if entries := await self._present(self._initial[start : start + TURN]):
                yield [Change("ADDED", Event("ADDED", entry, None)) for entry in entries]
        self._initial.clear()
        if self._marked:
            yield Bookmark(self._start, initial=True)
        async for step in self._events():
            yield step

    async def _events(self) -> AsyncIterator[Step]:
        loop = asyncio.get_running_loop()
        every = self._options.bookmark_every
        end = loop.time() + self._options.timeout
        due = loop.time() + every if every else end
        while True:
            try:
                events = await self._watch.before(min(due, end))
            except StopAsyncIteration:
                return
            if not events:
                if loop.time() >= end:
                    return
                due = loop.time() + every
                yield Bookmark(self._watch.progress)
                continue
            if self.kind.translation is not None:
                selecting = self._matches is not None
                events = await translated(self.kind.translation, events, selecting=selecting)
            if changes := seen(events, self._matches):
                yield changes

    async def _present(self, entries: list[Entry]) -> list[Entry]:
        """Of entries, those that the watcher selects."""
        if self.kind.translation is not None:
            entries = await self.kind.translation.view(entries)
        matches = self._matches
        return entries if matches is None else [entry for entry in entries if matches(entry)]


async def translated(to: Translation, events: Sequence[Event], *, selecting: bool) -> tuple[Event, ...]:
    """The events in the version of the watcher, who needs the former states where it selects. Raises 500."""
    entries = await to.view([event.entry for event in events])
    former = [event.prev for event in events if event.prev is not None] if selecting else []
    views = iter(await to.view(former)) if former else iter(())
    return tuple(
        Event(event.type, entry, next(views, None) if event.prev is not None else None)
        for event, entry in zip(events, entries, strict=True)
    )


def seen(events: Sequence[Event], matches: Predicate | None) -> Sequence[Change | Event]:
    """What a watcher with that selector sees: an object that begins to match is added, one that ceases to
    is deleted."""
    if matches is None:
        return events
    changes = []
    for event in events:
        was = event.prev is not None and matches(event.prev)
        now = event.type != "DELETED" and matches(event.entry)
        if now:
            changes.append(Change("MODIFIED" if was else "ADDED", event))
        elif was:
            changes.append(Change("DELETED", event))
    return changes


def open_stream(core: Core, ask: Ask, options: WatchOptions) -> Stream:
    """Raises 400, 410, 422."""
    stream = _open(core, ask, options)
    stream.join(core.streams)
    return stream


def _open(core: Core, ask: Ask, options: WatchOptions) -> Stream:
    wanted = options.selection
    version, initial = wanted.resource_version, wanted.send_initial_events
    check_match(version, wanted.match, wanted.token, watching=True, initial=initial)
    matches = select(ask.kind, wanted.labels, wanted.fields).matches
    prefix = ask.kind.below(ask.namespace)
    from_now = initial or (initial is None and version in ("", "0"))
    if not from_now:
        after = parse(version) if version else core.store.revision
        return Stream(core.store.watch(prefix, after), matches, options, (), marked=False, kind=ask.kind)
    present, watch = _present(core.store, prefix)
    marked = bool(initial and options.bookmark_every)
    return Stream(watch, matches, options, present, marked=marked, kind=ask.kind)


def _present(store: Store, prefix: str) -> tuple[list[Entry], Watch]:
    """Taken in one step of the loop: nothing happens between the list and the watch."""
    return list(store.list(prefix)), store.watch(prefix, store.revision)
