"""Read a container's log as `kubectl logs` wants it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from podium.runtime.logs import files
from podium.runtime.logs.decode import Decoder
from podium.runtime.logs.inotify import DirectoryWatch
from podium.runtime.logs.options import LogOptions

# Pieces that one call in a thread makes.
_AT_ONCE = 4


async def read_logs(
    path: str, options: LogOptions, ended: asyncio.Event | None = None
) -> AsyncGenerator[bytes]:
    """The content of the log at `path` (`.../N.log`, with what was rotated from it) in pieces of some
    hundred KiB. What comes next is read and decoded while the caller is busy with what it has, so that a
    reader that has stopped costs about a MiB.

    With `options.follow` it goes on with what is written, across rotations, until `ended` is set and
    everything was read: set it after the `ContainerIO` was closed. Without `ended` it does not follow.
    `options.previous` is the caller's to resolve into a path. Raises FileNotFoundError when there is no
    such log. Close the iterator (`contextlib.aclosing`) when leaving it early."""
    reading = _Reading(path, options)
    changed = asyncio.Event()
    try:
        await asyncio.to_thread(reading.open)
        left = options.limit
        pieces = _follow(reading, changed, ended if options.follow else None)
        async with aclosing(pieces):
            async for piece in pieces:
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                if piece:
                    yield piece
                if left == 0:
                    return
    finally:
        reading.close()


class _Reading:
    """The files still to be read, the first one open now. Its methods block and run in a thread, one at a
    time."""

    def __init__(self, path: str, options: LogOptions) -> None:
        self.path = path
        self._tail = options.tail
        self._decoder = Decoder(timestamps=options.timestamps, since=options.since, stream=options.stream)
        self._positions: deque[files.Position] = deque()

    def open(self) -> None:
        self._positions.extend(
            files.chain(self.path) if self._tail is None else files.tail(self.path, self._tail)
        )

    def piece(self) -> bytes | None:
        """The next output, maybe empty; None at the end of the current file."""
        while True:
            block = self._positions[0].block()
            if block:
                return self._decoder.feed(block)
            if len(self._positions) == 1:
                self._positions.extend(files.following(self.path, self._positions[0]))
                # What was written between the last read and the rotation is in the old file still.
                block = self._positions[0].block()
                if block:
                    return self._decoder.feed(block)
                if len(self._positions) == 1:
                    return None
            self._positions.popleft().close()

    def batch(self) -> tuple[list[bytes], bool]:
        """Some pieces, and whether there may be more right now."""
        pieces: list[bytes] = []
        while len(pieces) < _AT_ONCE:
            if (piece := self.piece()) is None:
                return pieces, False
            pieces.append(piece)
        return pieces, True

    def close(self) -> None:
        for position in self._positions:
            position.close()


async def _rest(reading: _Reading) -> AsyncGenerator[bytes]:
    """All there is right now."""
    ahead = asyncio.ensure_future(asyncio.to_thread(reading.batch))
    try:
        more = True
        while more:
            pieces, more = await ahead
            if more:
                ahead = asyncio.ensure_future(asyncio.to_thread(reading.batch))
            for piece in pieces:
                yield piece
    finally:
        # A thread cannot be stopped, and the files are closed after this.
        await asyncio.wait({ahead})


async def _follow(
    reading: _Reading, changed: asyncio.Event, ended: asyncio.Event | None
) -> AsyncGenerator[bytes]:
    if ended is None:
        async with aclosing(_rest(reading)) as pieces:
            async for piece in pieces:
                yield piece
        return
    watch = DirectoryWatch(os.path.dirname(reading.path), changed)
    end = asyncio.ensure_future(ended.wait())
    end.add_done_callback(lambda _: changed.set())
    try:
        while True:
            changed.clear()
            over = ended.is_set()
            async with aclosing(_rest(reading)) as pieces:
                async for piece in pieces:
                    yield piece
            if over:
                return
            await changed.wait()
    finally:
        end.cancel()
        watch.close()
