"""Watchers: who waits for what, and how each is woken once for all that is pending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from podium.api.store.base import Watch, WatchDropped, bucket_of
from podium.api.store.entry import Event

BACKLOG = 8192


class Past(Protocol):
    """The events that were, for a watch that starts behind the present."""

    def recent(self, after: int) -> Sequence[Event] | None:
        """All events after a revision, of every prefix, if memory still has them."""
        ...

    async def read(self, prefix: str, after: int) -> tuple[Sequence[Event], int]:
        """The next older events of `prefix`, and the revision up to which they are complete. Raises
        Compacted."""
        ...


class LiveWatch(Watch):
    """First replays the past, page by page, then is fed by the hub, whose backlog bounds what waits for a
    slow reader."""

    def __init__(self, hub: Hub, past: Past, prefix: str, after: int) -> None:
        self.prefix = prefix
        self._hub = hub
        self._past = past
        self._seen = after
        self._live = False
        self._pending: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._dropped = False
        self._go_live()

    @property
    def progress(self) -> int:
        if not self._live or self._pending or self._dropped:
            return self._seen
        return max(self._seen, self._hub.revision)

    def __aiter__(self) -> AsyncIterator[tuple[Event, ...]]:
        return self

    async def __anext__(self) -> tuple[Event, ...]:
        while not self._live and not self._closed:
            # A cancellation leaves the cursor where it was, so that nothing is lost.
            events, self._seen = await self._past.read(self.prefix, self._seen)
            self._go_live()
            if events:
                return tuple(events)
        while not self._pending:
            if self._dropped:
                raise WatchDropped(self.prefix)
            if self._closed:
                raise StopAsyncIteration
            await self._woken()
        events, self._pending = self._pending, []
        return self._hand_out(events)

    async def _woken(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _go_live(self) -> None:
        """Joins the hub when memory has all that is still missing; both in one step, so that no event falls
        between."""
        recent = self._past.recent(self._seen)
        if recent is None or self._closed:
            return
        self._live = True
        self._pending.extend(event for event in recent if event.key.startswith(self.prefix))
        self._hub.add(self)

    def _hand_out(self, events: list[Event]) -> tuple[Event, ...]:
        self._seen = events[-1].revision
        return tuple(events)

    def feed(self, events: Sequence[Event]) -> None:
        """From the hub: new events of the watch's bucket."""
        if len(self.prefix) > len(bucket_of(self.prefix)):
            events = [event for event in events if event.key.startswith(self.prefix)]
        if not events:
            return
        self._pending.extend(events)
        if len(self._pending) > self._hub.backlog:
            self._drop()
        self._wake()

    def _drop(self) -> None:
        self._dropped = True
        self._pending.clear()
        self._hub.remove(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        self._closed = True
        self._pending.clear()
        self._hub.remove(self)
        self._wake()


class Hub:
    """All live watches, by bucket; those of a prefix wider than a bucket apart."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self.backlog = backlog
        self.revision = 0
        self._watches: dict[str, set[LiveWatch]] = {}
        self._wide: set[LiveWatch] = set()

    def add(self, watch: LiveWatch) -> None:
        self._peers(watch).add(watch)

    def remove(self, watch: LiveWatch) -> None:
        self._peers(watch).discard(watch)

    def publish(self, events: Sequence[Event]) -> None:
        """Hands the events of one batch to whoever watches them. The revision is theirs, or newer."""
        self.revision = events[-1].revision
        by_bucket: dict[str, list[Event]] = {}
        for event in events:
            by_bucket.setdefault(bucket_of(event.key), []).append(event)
        for bucket, mine in by_bucket.items():
            for watch in tuple(self._watches.get(bucket, ())):
                watch.feed(mine)
        for watch in tuple(self._wide):
            watch.feed([event for event in events if event.key.startswith(watch.prefix)])

    def close(self) -> None:
        for watch in [*self._wide, *(watch for peers in self._watches.values() for watch in peers)]:
            watch.close()

    def _peers(self, watch: LiveWatch) -> set[LiveWatch]:
        if watch.prefix.count("/") < 4:
            return self._wide
        return self._watches.setdefault(bucket_of(watch.prefix), set())
