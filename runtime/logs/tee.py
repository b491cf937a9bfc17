"""Live output for one attached client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class Output(NamedTuple):
    stream: str
    data: bytes


class Tee:
    """What a container writes from now on, in order, for one reader. It holds at most about `limit` bytes:
    when it is full the container's FIFOs are not read until the client has caught up, so a slow client
    slows the container down but never costs memory. Whoever makes one must `close` it."""

    def __init__(self, changed: Callable[[], None], limit: int = 1024 * 1024) -> None:
        self._changed = changed
        self._limit = limit
        self._queue: deque[Output] = deque()
        self._size = 0
        self._closed = False
        self._ready = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._size >= self._limit

    @property
    def closed(self) -> bool:
        return self._closed

    async def read(self) -> Output | None:
        """The next piece of output; None when the container has ended and everything was read."""
        while not self._queue:
            if self._closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        was_full = self.full
        output = self._queue.popleft()
        self._size -= len(output.data)
        if was_full and not self.full:
            self._changed()
        return output

    def feed(self, stream: str, data: bytes) -> None:
        self._queue.append(Output(stream, data))
        self._size += len(data)
        self._ready.set()

    def end(self) -> None:
        """No more output comes; what is queued can still be read."""
        self._closed = True
        self._ready.set()

    def close(self) -> None:
        """The client is gone: forget what is queued."""
        self._queue.clear()
        self._size = 0
        self.end()
        self._changed()
