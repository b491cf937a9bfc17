"""Watchers: who waits for what, and how each is woken once for all that is pending."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from podium.api.store.base import Watch, WatchDropped, bucket_of
from podium.api.store.entry import Batch, Event

BACKLOG = 8192
NOTHING = Batch()


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
        # A batch that others may have too, or a list of what came since.
        self._pending: Batch | list[Event] = NOTHING
        self._waiter: asyncio.Future[None] | None = None
        self._bell: asyncio.TimerHandle | None = None
        self._rings = math.inf
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
        return await self.before(math.inf)

    async def before(self, when: float) -> tuple[Event, ...]:
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
            if not await self._woken(when):
                return NOTHING
        found, self._pending = self._pending, NOTHING
        self._seen = found[-1].revision
        return found if isinstance(found, Batch) else tuple(found)

    async def _woken(self, when: float) -> bool:
        """False when it is late."""
        loop = asyncio.get_running_loop()
        if when != math.inf and loop.time() >= when:
            return False
        # A timer for each wait would cost more than the wait.
        if self._bell is None or self._rings != when:
            self._silence()
            if when != math.inf:
                self._rings = when
                self._bell = loop.call_at(when, self._ring)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        return True

    def _ring(self) -> None:
        self._bell = None
        self._wake()

    def _silence(self) -> None:
        if self._bell is not None:
            self._bell.cancel()
            self._bell = None

    def _go_live(self) -> None:
        """Joins the hub when memory has all that is still missing; both in one step, so that no event falls
        between."""
        recent = self._past.recent(self._seen)
        if recent is None or self._closed:
            return
        self._live = True
        self._pending = [event for event in recent if event.key.startswith(self.prefix)]
        self._hub.add(self)

    def feed(self, events: Batch) -> None:
        """From the hub: new events of the watch's prefix."""
        if isinstance(self._pending, list):
            self._pending.extend(events)
        else:
            self._pending = [*self._pending, *events] if self._pending else events
        if len(self._pending) > self._hub.backlog:
            self._drop()
        self._wake()

    def _drop(self) -> None:
        self._dropped = True
        self._pending = NOTHING
        self._hub.remove(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        self._closed = True
        self._pending = NOTHING
        self._silence()
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
            if peers := self._watches.get(bucket):
                _hand_out(peers, bucket, mine)
        if self._wide:
            _hand_out(self._wide, "", events)

    def close(self) -> None:
        for watch in [*self._wide, *(watch for peers in self._watches.values() for watch in peers)]:
            watch.close()

    def _peers(self, watch: LiveWatch) -> set[LiveWatch]:
        if watch.prefix.count("/") < 4:
            return self._wide
        return self._watches.setdefault(bucket_of(watch.prefix), set())


def _hand_out(watches: set[LiveWatch], whole: str, events: Sequence[Event]) -> None:
    """All watches of one prefix get the same batch; all `events` are of the prefix `whole`."""
    batches: dict[str, Batch] = {whole: Batch(events)}
    for watch in tuple(watches):
        batch = batches.get(watch.prefix)
        if batch is None:
            mine = [event for event in events if event.key.startswith(watch.prefix)]
            batch = batches[watch.prefix] = Batch(mine)
        if batch:
            watch.feed(batch)
