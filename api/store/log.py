"""The store over a journal: what is common to every log whose revisions this process gives out.

A write is checked against the newest accepted state, gets its revision, is encoded, and goes to the journal;
what the journal has made durable is applied to the state, shown to the watchers, and only then acknowledged.
Between the two it is pending: visible to other writers, which may build on it, and to nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import orjson

from podium.api.store.base import Compacted, Exists, Missing, Rejected, Stale, Store, bucket_of
from podium.api.store.codec import Codec, UnreadableEntry, outdate
from podium.api.store.entry import DECODED_BYTES, DecodedCache, Entry, Event, encode
from podium.api.store.history import History, Undo
from podium.api.store.state import BUCKET_SLASHES, State
from podium.api.store.watch import BACKLOG, Hub, LiveWatch
from podium.api.types import Obj
from podium.api.types.errors import StatusError, internal, too_large, unavailable
from podium.api.types.selectors import Selector

log = logging.getLogger(__name__)

KEEP_SECONDS = 300.0
# A revision that no key ever has; 0 stands for a key that holds nothing, which only a create may expect.
NEVER = -1

# Bytes that an object may have; etcd's number and, since clients look for it, its message.
MAX_VALUE = 3 << 19


class Write(NamedTuple):
    """One accepted write. `type` is the event's; `prev` what the key held before, itself durable or
    pending."""

    type: str
    entry: Entry
    prev: Entry | None
    done: asyncio.Future[Entry]


class Batch(NamedTuple):
    """Writes in the order of their revisions. After a batch of an epoch failed, no later one of that epoch
    may be committed: it could build on what was lost."""

    epoch: int
    writes: list[Write]


class Loaded(NamedTuple):
    """What a journal holds when it is opened. `entries` are the current ones, in any order."""

    revision: int
    compacted: int
    entries: list[Entry]


class Listener(Protocol):
    """Whom a journal tells, on the event loop and in the order of the batches."""

    def committed(self, batch: Batch) -> None: ...

    def failed(self, batch: Batch, error: Exception) -> None: ...


class Journal(Protocol):
    """Where the log lives. One writer; `submit` never blocks."""

    keeps_history: bool

    async def open(self, listener: Listener, cache: DecodedCache) -> Loaded: ...

    def submit(self, batch: Batch) -> None: ...

    async def read(self, prefix: str, after: int, until: int) -> tuple[list[Event], int]:
        """A page of the events of `prefix` after one revision, at most up to another, and the revision up to
        which the page is complete. Raises Compacted."""
        ...

    async def compact(self, revision: int) -> None: ...

    async def close(self) -> None:
        """Returns once every submitted batch was committed or failed, and the listener told."""
        ...


class LogStore(Store):
    """See `base.Store`. `keep` is for how many seconds history is kept at least, 0: for ever; `pause` is the
    clock."""

    def __init__(
        self,
        journal: Journal,
        *,
        history: History | None = None,
        decoded_bytes: int = DECODED_BYTES,
        backlog: int = BACKLOG,
        keep: float = KEEP_SECONDS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._cache = DecodedCache(decoded_bytes)
        self._state = State()
        self._history = history if history is not None else History()
        self._hub = Hub(backlog)
        self._keep = keep
        self._pause = pause
        self._revision = 0
        self._compacted = 0
        self._given = 0
        self._epoch = 0
        self._pending: dict[str, Write] = {}
        # How many of them there are, by bucket: most questions are about buckets without any.
        self._busy: Counter[str] = Counter()
        self._inflight: deque[Write] = deque()
        self._unsent: list[Write] = []
        self._closing = False
        self._fault = ""
        self._compactor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        loaded = await self._journal.open(self, self._cache)
        self._revision = self._given = self._hub.revision = loaded.revision
        self._compacted = loaded.compacted
        self._history.trim(loaded.revision)
        self._state.load(loaded.entries)
        if self._keep > 0:
            self._compactor = asyncio.create_task(self._compact_forever(), name="store-compactor")

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._compactor is not None:
            self._compactor.cancel()
            await asyncio.wait([self._compactor])
        self._flush()
        await self._journal.close()
        self._hub.close()

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def compacted(self) -> int:
        if self._journal.keeps_history:
            return self._compacted
        return max(self._compacted, self._history.floor)

    @property
    def fault(self) -> str:
        return "the store is closed" if self._closing else self._fault

    def get(self, key: str) -> Entry | None:
        return self._state.get(key)

    def latest(self, key: str) -> Entry | None:
        write = self._pending.get(key)
        if write is None:
            return self._state.get(key)
        return None if write.type == "DELETED" else write.entry

    def latest_below(self, prefix: str) -> Sequence[Entry]:
        if prefix.count("/") >= BUCKET_SLASHES:
            # Most questions of admission are about what there is none of.
            bucket = bucket_of(prefix)
            if not self._busy.get(bucket):
                return self._state.below(prefix) if self._state.holds(bucket) else ()
        writes = self._pending_below(prefix)
        if not writes:
            return self.list(prefix)
        entries = {entry.key: entry for entry in self.list(prefix)}
        for write in writes:
            if write.type == "DELETED":
                entries.pop(write.entry.key, None)
            else:
                entries[write.entry.key] = write.entry
        return list(entries.values())

    def _pending_below(self, prefix: str) -> list[Write]:
        if prefix.count("/") >= BUCKET_SLASHES and not self._busy.get(bucket_of(prefix)):
            return []
        return [write for key, write in self._pending.items() if key.startswith(prefix)]

    def accepted(self, prefix: str) -> list[tuple[Entry | None, Entry | None]]:
        return [
            (self._state.get(write.entry.key), None if write.type == "DELETED" else write.entry)
            for write in self._pending_below(prefix)
        ]

    def changes(self, prefix: str, after: int) -> list[tuple[Entry | None, Entry | None]] | None:
        events = self.recent(after)
        if events is None:
            return None
        return [
            (event.prev, None if event.type == "DELETED" else event.entry)
            for event in events
            if event.key.startswith(prefix)
        ]

    def list(self, prefix: str) -> Sequence[Entry]:
        return self._state.below(prefix)

    def learn(self, prefix: str) -> bool:
        return self._state.learn(prefix)

    def selected(self, prefix: str, selector: Selector) -> Sequence[Entry]:
        return self._state.selected(prefix, selector)

    def count(self, prefix: str) -> int:
        return self._state.count(prefix)

    async def list_at(
        self, prefix: str, revision: int, *, after: str = "", limit: int = 0
    ) -> tuple[Sequence[Entry], int]:
        if revision < self.compacted:
            raise Compacted(revision, self.compacted)
        undo = Undo(prefix)
        cursor = revision
        while (recent := self.recent(cursor)) is None:
            events, cursor = await self.read(prefix, cursor)
            undo.feed(events)
        undo.feed(recent)
        if undo.empty:
            return self._state.page(prefix, after, limit)
        return undo.page(self._state.below(prefix), after, limit)

    async def create(self, key: str, obj: Obj) -> Entry:
        return await self._write("ADDED", key, obj, 0)

    async def update(self, key: str, obj: Obj, expected: int) -> Entry:
        return await self._write("MODIFIED", key, obj, expected or NEVER)

    async def delete(self, key: str, obj: Obj, expected: int) -> Entry:
        return await self._write("DELETED", key, obj, expected or NEVER)

    def watch(self, prefix: str, after: int) -> LiveWatch:
        if after < self.compacted:
            raise Compacted(after, self.compacted)
        return LiveWatch(self._hub, self, prefix, after)

    async def compact(self, revision: int) -> None:
        revision = min(revision, self._revision)
        if revision <= self.compacted:
            return
        await self._journal.compact(revision)
        self._compacted = max(self._compacted, revision)
        self._history.trim(revision)

    def recent(self, after: int) -> Sequence[Event] | None:
        """For watches: see `watch.Past`."""
        return self._history.after(after) if after >= self._history.floor else None

    async def read(self, prefix: str, after: int) -> tuple[Sequence[Event], int]:
        """For watches: see `watch.Past`."""
        if after < self.compacted:
            raise Compacted(after, self.compacted)
        return await self._journal.read(prefix, after, self._history.floor)

    def outdate(self, concerns: Callable[[str], bool]) -> None:
        """What concerns these keys lies on the disk in a form that is given up: it is to be written anew when
        somebody writes it, even if nothing changed."""
        entries = [*self._state.below("/"), *(write.entry for write in self._inflight)]
        for entry in entries:
            if concerns(entry.key):
                outdate(entry)

    async def reopen(self, codec: Codec) -> None:
        """What nobody could read, and `codec` can, is written anew, so that whoever watches hears of it."""
        for entry in self._state.below("/"):
            if not isinstance(entry, UnreadableEntry) or self._state.get(entry.key) is not entry:
                continue
            found = entry.again(codec)
            if not found.readable:
                continue
            self._state.put(found)
            try:
                await self.update(found.key, orjson.loads(found.value), found.revision)
            except Rejected:
                # Somebody has been faster, and could read it.
                continue

    async def _write(self, type: str, key: str, obj: Obj, expected: int) -> Entry:
        prev = self.latest(key)
        if _revision(prev) != expected:
            prev = await self._admitted(key, expected)
        if self._closing:
            raise unavailable("the store is closed")
        revision = self._given + 1
        value = encode(obj, revision)
        if len(value) > MAX_VALUE and type != "DELETED":
            raise too_large("etcdserver: request is too large")
        entry = Entry(key, value, revision, self._cache, obj)
        self._given = revision
        loop = asyncio.get_running_loop()
        write = Write(type, entry, prev, loop.create_future())
        if key not in self._pending:
            self._busy[bucket_of(key)] += 1
        self._pending[key] = write
        self._inflight.append(write)
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(write)
        return await write.done

    async def _admitted(self, key: str, expected: int) -> Entry | None:
        """What the key holds, at revision `expected` (0: nothing). Raises a Rejected.

        A refusal rests on what is durable: where only a pending write stands in the way, its outcome is
        awaited."""
        while True:
            latest = self.latest(key)
            if _revision(latest) == expected:
                return latest
            durable = self._state.get(key)
            if _revision(durable) != expected:
                raise _rejection(key, expected, durable)
            await asyncio.wait([self._pending[key].done])

    def _flush(self) -> None:
        if self._unsent:
            writes, self._unsent = self._unsent, []
            self._journal.submit(Batch(self._epoch, writes))

    def committed(self, batch: Batch) -> None:
        """From the journal: the batch is durable."""
        events = []
        for write in batch.writes:
            self._inflight.popleft()
            key = write.entry.key
            if self._pending[key] is write:
                del self._pending[key]
                self._busy[bucket_of(key)] -= 1
            if write.type == "DELETED":
                self._state.remove(key)
            else:
                self._state.put(write.entry)
            events.append(Event(write.type, write.entry, write.prev))
        self._fault = ""
        self._revision = events[-1].revision
        self._history.extend(events)
        self._hub.publish(events)
        for write in batch.writes:
            if not write.done.done():
                write.done.set_result(write.entry)

    def failed(self, batch: Batch, error: Exception) -> None:
        """From the journal: nothing of the batch is durable. Everything pending fails with it, since it may
        build on it.

        Revisions that were given out are not given again: a writer may still hold one as what it expects."""
        if batch.epoch != self._epoch:
            return
        self._epoch += 1
        self._fault = f"could not write to the store: {error}"
        lost = list(self._inflight)
        log.error("could not write to the store, %d writes failed: %s", len(lost), error)
        self._inflight.clear()
        self._unsent.clear()
        self._pending.clear()
        self._busy.clear()
        for write in lost:
            if not write.done.done():
                write.done.set_exception(internal(f"could not write to the store: {error}"))

    async def _compact_forever(self) -> None:
        """What was the newest revision one period ago is compacted: history is kept for one to two
        periods."""
        mark = self._revision
        while True:
            await self._pause(self._keep)
            target, mark = mark, self._revision
            try:
                await self.compact(target)
            except StatusError as error:
                log.warning("compaction up to revision %d failed, will try again: %s", target, error)


def _revision(entry: Entry | None) -> int:
    return entry.revision if entry is not None else 0


def _rejection(key: str, expected: int, durable: Entry | None) -> Exception:
    if durable is None:
        return Missing(key)
    return Exists(durable) if expected == 0 else Stale(durable)
