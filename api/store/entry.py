"""What the store hands out: one revision of one key, and the event that made it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson

from podium.api.types import Obj

DECODED_BYTES = 2 << 20
ORDERS = frozenset({("kind", "apiVersion"), ("apiVersion", "kind")})
NO_LABELS: Mapping[str, str] = {}


class DecodedCache:
    """Bounds the decoded objects that a store's entries hold on to.

    A decoded object takes eight to ten times its encoded size, so only some stay; an entry whose object was
    let go decodes again when asked. Second-chance replacement: what was used since the hand came by last
    stays for another round. `limit` is in encoded bytes."""

    __slots__ = ("_entries", "_held", "limit")

    def __init__(self, limit: int = DECODED_BYTES) -> None:
        self.limit = limit
        self._entries: deque[Entry] = deque()
        self._held = 0

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._held += len(entry.value)
        while self._held > self.limit:
            oldest = self._entries.popleft()
            if oldest.release():
                self._held -= len(oldest.value)
            else:
                self._entries.append(oldest)


class Entry:
    """One revision of one key. `value` is the encoded object with this revision as its resourceVersion.

    `known_labels` are its labels as far as somebody has looked at them already: selectors look at many
    objects, and most of those are not decoded at the moment. `memo` is free for what a reader derives from
    the object once per revision (a table row); it lives as long as the entry, so it must be small."""

    __slots__ = ("_cache", "_obj", "_used", "key", "known_labels", "memo", "revision", "value")
    # Whether a write that changes nothing must be done all the same.
    stale = False
    readable = True

    def __init__(
        self, key: str, value: bytes, revision: int, cache: DecodedCache, obj: Obj | None = None
    ) -> None:
        self.key = key
        self.value = value
        self.revision = revision
        self.known_labels: Mapping[str, str] | None = None
        self.memo: Any = None
        self._cache = cache
        self._obj = obj
        self._used = False
        if obj is not None:
            self.known_labels = obj["metadata"].get("labels") or NO_LABELS
            cache.add(self)

    @property
    def obj(self) -> Obj:
        """The decoded object, shared: read-only."""
        obj = self._obj
        if obj is not None:
            self._used = True
            return obj
        decoded: Obj = orjson.loads(self.value)
        self._obj = decoded
        self._cache.add(self)
        return decoded

    @property
    def decoded(self) -> bool:
        """Whether looking at the object costs nothing at the moment."""
        return self._obj is not None

    @property
    def labels(self) -> Mapping[str, str]:
        labels = self.known_labels
        if labels is None:
            labels = self.known_labels = self.obj["metadata"].get("labels") or NO_LABELS
        return labels

    def release(self) -> bool:
        """Lets the decoded object go unless it was used since the last call; says whether it did."""
        if self._used:
            self._used = False
            return False
        self._obj = None
        return True

    def __repr__(self) -> str:
        return f"Entry({self.key!r}, revision={self.revision})"


def encode(obj: Obj, revision: int) -> bytes:
    """The object's bytes with `revision` stamped into it. They begin with what the object is, so that lists
    can leave that out."""
    obj["metadata"]["resourceVersion"] = str(revision)
    if (*islice(obj, 2),) not in ORDERS and "kind" in obj and "apiVersion" in obj:
        obj = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **obj}
    # orjson leaves its result in a buffer of up to three times the size; the copy is exact, and it stays.
    return bytes(memoryview(orjson.dumps(obj)))


class Event:
    """One write. `type` is ADDED, MODIFIED or DELETED; `prev` what the key held before. For DELETED, `entry`
    is the final state with the deletion's revision."""

    __slots__ = ("_cold", "_wires", "entry", "prev", "type")

    def __init__(self, type: str, entry: Entry, prev: Entry | None) -> None:
        self.type = type
        self.entry = entry
        self.prev = prev
        # Most events are seen by nobody but the history.
        self._wires: dict[str, bytes] | None = None
        self._cold = False

    @property
    def event(self) -> Event:
        """To a watcher without a selector, an event is what it sees of it."""
        return self

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def revision(self) -> int:
        return self.entry.revision

    def wire(self, type: str = "") -> bytes:
        """The event as a line of a watch's stream, made once for all watchers.

        `type` differs from the event's own for a watcher with a selector: an object that begins to match is
        ADDED, one that ceases to match is DELETED, and is then shown as it was while it matched, with the
        event's revision."""
        type = type or self.type
        line = self._wires.get(type) if self._wires else None
        if line is None:
            line = b'{"type":"%b","object":%b}\n' % (type.encode(), self._shown(type))
            if not self._cold:
                self._wires = {**(self._wires or {}), type: line}
        return line

    def _shown(self, type: str) -> bytes:
        if type != "DELETED" or self.type == "DELETED" or self.prev is None:
            return self.entry.value
        return encode(orjson.loads(self.prev.value), self.revision)

    def cool(self) -> None:
        """Forgets the lines: the event is old, and late watchers are few."""
        self._cold = True
        self._wires = None

    def __repr__(self) -> str:
        return f"Event({self.type}, {self.entry!r})"


class Batch(tuple[Event, ...]):
    """Events that came at once, as all watchers of the same prefix are given them."""

    _lines = b""

    @property
    def lines(self) -> bytes:
        """All their lines, joined once for all watchers."""
        if not self._lines:
            self._lines = b"".join([event.wire() for event in self])
        return self._lines
