"""A client's end of SPDY, for tests: what kubectl does."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable

from podium.runtime.nodeapi.spdy import frames
from podium.runtime.nodeapi.spdy.frames import FrameParser
from podium.runtime.nodeapi.spdy.headers import HeaderReader, HeaderWriter


class SpdyClient:
    """Opens streams and collects, per stream, what comes, until everything asked for is there."""

    def __init__(
        self, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._read = read
        self.write = write
        self._parser = FrameParser()
        self._outgoing = HeaderWriter()
        self._incoming = HeaderReader()
        self._next = 1
        self.replied: set[int] = set()
        self.refused: dict[int, int] = {}
        self.received: dict[int, bytes] = defaultdict(bytes)
        self.finished: set[int] = set()
        self.pings: list[int] = []
        self.over = False

    async def open(self, **headers: str) -> int:
        stream, self._next = self._next, self._next + 2
        await self.write(frames.syn_stream(stream, self._outgoing.encode(headers)))
        await self.until(lambda: stream in self.replied or stream in self.refused)
        return stream

    async def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        await self.write(frames.data(stream, data, fin=fin))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert not self.over, "the server has closed the connection"
                await self._step()

    async def _step(self) -> None:
        data = await self._read()
        self.over = not data
        for frame in self._parser.feed(data):
            if frame.kind == 0:
                self.received[frame.stream] += frame.payload
                if frame.fin:
                    self.finished.add(frame.stream)
            elif frame.kind == frames.SYN_REPLY:
                self._incoming.decode(frame.payload)
                self.replied.add(frame.stream)
            elif frame.kind == frames.RST_STREAM:
                (self.refused[frame.stream],) = struct.unpack(">I", frame.payload)
            elif frame.kind == frames.PING:
                self.pings.append(frame.stream)
