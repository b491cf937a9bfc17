"""A server's end of a SPDY connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from podium.runtime.nodeapi.spdy import frames
from podium.runtime.nodeapi.spdy.frames import Frame, FrameError, FrameParser
from podium.runtime.nodeapi.spdy.headers import HeaderError, HeaderReader, HeaderWriter

log = logging.getLogger(__name__)

_WAITING_FRAMES = 32  # of one stream, before the connection is not read any more
_WRITE_SIZE = 32 * 1024


class ByteStream(Protocol):
    """What frames travel over: an upgraded HTTP connection, or the messages of a WebSocket."""

    async def read(self) -> bytes:
        """Some bytes; b"" when the peer is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the peer is gone."""
        ...

    async def close(self) -> None: ...


class Stream:
    """One stream that the client opened; both directions end independently."""

    def __init__(self, connection: SpdyConnection, id: int, headers: dict[str, str]) -> None:
        self.id = id
        self.headers = headers
        self._connection = connection
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_FRAMES)
        self._read_over = False
        self._write_over = False

    async def read(self) -> bytes:
        """What the client sent next; b"" when it sends no more."""
        if self._read_over:
            return b""
        data = await self._queue.get()
        self._read_over = not data
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone or does not want this stream any more."""
        for start in range(0, len(data), _WRITE_SIZE):
            if self._write_over:
                raise ConnectionResetError("stream closed")
            await self._connection.send(frames.data(self.id, data[start : start + _WRITE_SIZE]))

    async def close(self) -> None:
        """No more data from this side. Idempotent."""
        if not self._write_over:
            self._write_over = True
            await self._connection.send(frames.data(self.id, b"", fin=True))

    async def reset(self) -> None:
        """Give the stream up in both directions."""
        if not self._write_over:
            self._write_over = True
            await self._connection.send(frames.rst_stream(self.id, frames.CANCEL))
        self.end()

    async def feed(self, data: bytes) -> None:
        """From the connection: data, in order; b"" for its end. Waits while too much is not read yet."""
        if not self._read_over:
            await self._queue.put(data)

    def end(self) -> None:
        """From the connection: nothing will come any more, and what has come and was not read does not
        matter."""
        self._write_over = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(b"")


class SpdyConnection:
    """Reads frames while `run` runs; hands each new stream to `opened`, which says whether it is wanted and
    does not wait for the stream's data."""

    def __init__(self, wire: ByteStream, opened: Callable[[Stream], Awaitable[bool]]) -> None:
        self._wire = wire
        self._opened = opened
        self._parser = FrameParser()
        self._incoming = HeaderReader()
        self._outgoing = HeaderWriter()
        self._streams: dict[int, Stream] = {}
        self._last = 0

    async def run(self) -> None:
        """Until the client is gone, says goodbye or talks nonsense. Every stream has ended then."""
        try:
            while received := await self._wire.read():
                for frame in self._parser.feed(received):
                    if frame.kind == frames.GOAWAY:
                        return
                    await self._handle(frame)
        except (FrameError, HeaderError, ConnectionError) as error:
            log.debug("SPDY connection ends: %s", error)
        finally:
            for stream in self._streams.values():
                stream.end()
            self._streams.clear()

    async def send(self, data: bytes) -> None:
        await self._wire.write(data)

    async def close(self) -> None:
        try:
            await self.send(frames.goaway(self._last))
        except ConnectionError:
            pass
        await self._wire.close()

    def forget(self, *streams: Stream) -> None:
        """These have ended in both directions."""
        for stream in streams:
            self._streams.pop(stream.id, None)

    async def _handle(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        if frame.kind == frames.SYN_STREAM:
            await self._open(frame)
        elif frame.kind == frames.PING:
            await self.send(frames.ping(frame.stream))
        elif frame.kind == frames.HEADERS:
            self._incoming.decode(frame.payload)
        elif stream is None:
            return
        elif frame.kind == 0:
            if frame.payload:
                await stream.feed(frame.payload)
            if frame.fin:
                await stream.feed(b"")
        elif frame.kind == frames.RST_STREAM:
            stream.end()
            self.forget(stream)

    async def _open(self, frame: Frame) -> None:
        headers = self._incoming.decode(frame.payload)
        if frame.stream <= self._last or frame.stream % 2 == 0:
            raise FrameError(f"stream {frame.stream} after {self._last}")
        self._last = frame.stream
        stream = Stream(self, frame.stream, headers)
        self._streams[stream.id] = stream
        if not await self._opened(stream):
            self.forget(stream)
            await self.send(frames.rst_stream(stream.id, frames.REFUSED_STREAM))
            return
        await self.send(frames.syn_reply(stream.id, self._outgoing.encode({})))
        if frame.fin:
            await stream.feed(b"")
