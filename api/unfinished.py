"""Connections on which a request has begun to come and has not come to its end: who is too slow with it loses
the connection.

Nearly every request comes in one piece, and is never seen here. While there are others, a look now and then
finds what is late; there is no timer per connection."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

# Seconds for a request's line and headers, from the first byte on; upstream's.
HEAD_TIME = 32.0
# Seconds for a body that nobody waits for any more: its request has been answered.
BODY_TIME = 60.0
# Of the shorter one, how often is looked.
LOOKS = 8
# Bytes that line and headers may have together.
MAX_HEAD = 1 << 20


class Reader(Protocol):
    """`in_head`: it waits for the rest of line and headers. `answered`: nobody waits for the rest of the
    body."""

    in_head: bool

    @property
    def answered(self) -> bool: ...

    def cut_off(self) -> None:
        """Ends the connection."""
        ...


class Unfinished:
    """Of all listeners of a server."""

    def __init__(self, head_time: float = HEAD_TIME, body_time: float = BODY_TIME) -> None:
        self._head_time, self._body_time = head_time, body_time
        self._since: dict[Reader, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.cut = 0

    def __len__(self) -> int:
        return len(self._since)

    def add(self, reader: Reader) -> None:
        """Its time runs from the first call on, until `discard`."""
        self._since.setdefault(reader, monotonic())
        if self._timer is None:
            self._arm()

    def discard(self, reader: Reader) -> None:
        self._since.pop(reader, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        pause = min(self._head_time, self._body_time) / LOOKS
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        for reader, since in list(self._since.items()):
            limit = self._head_time if reader.in_head else self._body_time
            if now - since > limit and (reader.in_head or reader.answered):
                self.cut += 1
                self.discard(reader)
                reader.cut_off()
        if self._since:
            self._arm()
