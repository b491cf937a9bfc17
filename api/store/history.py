"""The newest events, in memory: what most watches resume from, and how an older state is told from the
current one."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from operator import attrgetter

from podium.api.store.entry import Entry, Event

HISTORY_BYTES = 8 << 20
HISTORY_EVENTS = 20_000
WARM_EVENTS = 512
EVENT_BYTES = 200


class History:
    """All events after `floor`. Bounded: beyond `max_bytes` or `max_events` the oldest go and the floor
    rises.

    Bytes are those that only the history keeps in memory: what was superseded or deleted."""

    def __init__(self, max_bytes: int = HISTORY_BYTES, max_events: int = HISTORY_EVENTS) -> None:
        self.floor = 0
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._bytes = 0
        # The live events are _events[_start:]; the dead ones before it are cut off now and then, so that a
        # bisection works.
        self._events: list[Event] = []
        self._start = 0
        self._warm: deque[Event] = deque()

    def __len__(self) -> int:
        return len(self._events) - self._start

    def extend(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events.append(event)
            self._bytes += _weight(event)
            self._warm.append(event)
        while len(self._warm) > WARM_EVENTS:
            self._warm.popleft().cool()
        while self._bytes > self._max_bytes or len(self) > self._max_events:
            self._drop_oldest()
        self._cut()

    def after(self, revision: int) -> list[Event]:
        """The events after `revision`, which must not be below the floor."""
        start = bisect_right(self._events, revision, lo=self._start, key=attrgetter("revision"))
        return self._events[start:]

    def trim(self, revision: int) -> None:
        """Forgets the events up to `revision`."""
        while self._start < len(self._events) and self._events[self._start].revision <= revision:
            self._drop_oldest()
        self.floor = max(self.floor, revision)
        self._cut()

    def _drop_oldest(self) -> None:
        event = self._events[self._start]
        self._bytes -= _weight(event)
        self.floor = event.revision
        self._start += 1

    def _cut(self) -> None:
        # The dead events keep their entries alive, so few may wait; one cut moves the list once.
        if self._start > 256 and self._start * 8 > len(self._events):
            del self._events[: self._start]
            self._start = 0


def _weight(event: Event) -> int:
    weight = EVENT_BYTES
    if event.prev is not None:
        weight += len(event.prev.value)
    if event.type == "DELETED":
        weight += len(event.entry.value)
    return weight


class Undo:
    """What a prefix held at a revision, as the difference from now: fed with all events since, oldest
    first."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._before: dict[str, Entry | None] = {}

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.key.startswith(self._prefix):
                self._before.setdefault(event.key, event.prev)

    def page(self, current: Iterable[Entry], after: str, limit: int) -> tuple[list[Entry], int]:
        """The entries of then behind the key `after`, at most `limit` (0: all), and how many are behind
        those; `current` are all of now."""
        then: dict[str, Entry | None] = {entry.key: entry for entry in current}
        then.update(self._before)
        keys = sorted(key for key, entry in then.items() if entry is not None and key > after)
        wanted = keys[:limit] if limit else keys
        return [entry for key in wanted if (entry := then[key]) is not None], len(keys) - len(wanted)

    @property
    def empty(self) -> bool:
        return not self._before
