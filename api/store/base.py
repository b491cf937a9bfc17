"""The store's contract: a global, append-only log of revisions with the current state on top of it.

Every implementation keeps these promises, which one suite (`tests/unit/api/store`) holds all of them to:

- A write is a compare-and-set on the revision of one key. It is durable before it is acknowledged, and before
  any read, list or watch shows it. A write that fails leaves nothing behind.
- Revisions are global, positive and strictly growing, and are the objects' `metadata.resourceVersion`. They
  may have gaps.
- A reader sees the writes in the order of their revisions, all of them. A watch after revision R gets every
  later event once, in order.
- History is there back to `compacted`; what needs older revisions raises `Compacted`.

All of it is for one event loop: no method may be called from another thread. Nothing here says where the log
lives, or that a revision is known before its write is durable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from podium.api.store.entry import Batch, Entry, Event
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.selectors import Selector

# Of `/registry/`, which all keys begin with.
ROOT = 10

__all__ = [
    "Batch",
    "Compacted",
    "Entry",
    "Event",
    "Exists",
    "Missing",
    "Rejected",
    "Stale",
    "Store",
    "Watch",
    "WatchDropped",
    "bucket_of",
]

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Rejected(Exception):
    """A write whose precondition does not hold; nothing was changed. Whoever knows the resource turns it into
    a Status."""


class Exists(Rejected):
    """The key is taken; `entry` is what holds it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.key)
        self.entry = entry


class Missing(Rejected):
    """There is nothing at the key."""


class Stale(Rejected):
    """The key has moved on; `entry` is its current state."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry.key} is at revision {entry.revision}")
        self.entry = entry


class Compacted(StatusError):
    """410: history does not reach back to the revision asked for."""

    def __init__(self, requested: int, compacted: int) -> None:
        super().__init__(410, "Expired", f"too old resource version: {requested} ({compacted})")


class WatchDropped(Exception):
    """The watcher did not keep up. It can watch again after the last revision that it saw."""


class Watch(Protocol):
    """The events of one prefix, as an async iterator of non-empty tuples: everything that is pending at that
    moment.

    Cancelling a pending `__anext__` loses nothing. The iterator ends when the watch or the store is
    closed."""

    @property
    def progress(self) -> int:
        """Every event up to this revision has been handed out: what a bookmark may say."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[Event, ...]]: ...

    async def __anext__(self) -> tuple[Event, ...]:
        """Raises WatchDropped when the reader fell too far behind, Compacted when the past it replays was
        compacted."""
        ...

    async def before(self, when: float) -> tuple[Event, ...]:
        """As `__anext__`, but empty when there is nothing until the loop's time is `when`. Ask with the same
        time as long as that does not change: it costs nothing then."""
        ...

    def close(self) -> None:
        """Idempotent. Must be called by whoever opened the watch."""
        ...


class Store(Protocol):
    """Keys are `/registry/GROUP/PLURAL/NAMESPACE/NAME` or `/registry/GROUP/PLURAL/NAME`; prefixes end in a
    slash.

    The object handed to a write is the store's from then on. Objects handed out are shared and read-only."""

    async def start(self) -> None:
        """Loads the current state. Nothing else may be called before."""
        ...

    async def close(self) -> None:
        """Settles the writes under way, ends the watches."""
        ...

    @property
    def revision(self) -> int:
        """The newest durable revision, 0 in a new store."""
        ...

    @property
    def compacted(self) -> int:
        """History is complete after this revision."""
        ...

    @property
    def fault(self) -> str:
        """Why writes do not succeed at present, "" as far as is known."""
        ...

    def get(self, key: str) -> Entry | None:
        """The durable current state, from memory."""
        ...

    def latest(self, key: str) -> Entry | None:
        """What a writer bases its change on: like `get`, but with what was accepted and is not durable yet.
        Not for readers."""
        ...

    def latest_below(self, prefix: str) -> Sequence[Entry]:
        """As `latest`, of everything below `prefix`, in no order: for a write that others may leave no room
        for."""
        ...

    def accepted(self, prefix: str) -> list[tuple[Entry | None, Entry | None]]:
        """What was accepted below `prefix` and is not durable yet: of each such key what is durable, and
        what it will be; None stands for nothing."""
        ...

    def changes(self, prefix: str, after: int) -> list[tuple[Entry | None, Entry | None]] | None:
        """The durable changes below `prefix` behind revision `after`, oldest first, each as what the key held
        before and after it. None where they are not all in memory any more."""
        ...

    def list(self, prefix: str) -> Sequence[Entry]:
        """The durable current state below `prefix`, sorted by key, from memory."""
        ...

    async def list_at(
        self, prefix: str, revision: int, *, after: str = "", limit: int = 0
    ) -> tuple[Sequence[Entry], int]:
        """What `list` gave at `revision`, from the first key behind `after`, at most `limit` entries (0:
        all), and how many there are behind those. Raises Compacted."""
        ...

    def learn(self, prefix: str) -> bool:
        """Looks for some milliseconds at the labels of what lies below `prefix`, all of one resource; whether
        they are known now, and stay known."""
        ...

    def selected(self, prefix: str, selector: Selector) -> Sequence[Entry]:
        """Of what `list` gives, what `selector` selects by its labels, and what nobody can read. `learn`
        must have said that they are known."""
        ...

    def count(self, prefix: str) -> int: ...

    async def create(self, key: str, obj: Obj) -> Entry:
        """Stamps `metadata.resourceVersion` and encodes, as every write does. Raises Exists."""
        ...

    async def update(self, key: str, obj: Obj, expected: int) -> Entry:
        """Raises Missing, Stale."""
        ...

    async def delete(self, key: str, obj: Obj, expected: int) -> Entry:
        """`obj` is the final state, as watchers shall see it. Raises Missing, Stale."""
        ...

    def watch(self, prefix: str, after: int) -> Watch:
        """The events behind revision `after`. Raises Compacted."""
        ...

    async def compact(self, revision: int) -> None:
        """Gives up the history up to `revision`; never the current state. Returns once `compacted` says so;
        the room is freed in the background."""
        ...


def bucket_of(key: str) -> str:
    """The prefix of all objects of the key's resource: `/registry/GROUP/PLURAL/`; works for keys and for
    prefixes."""
    return key[: key.find("/", key.find("/", ROOT) + 1) + 1]
