"""A remote command's client over SPDY, as kubectl before 1.30 speaks: one stream each for input, output,
errors, outcome and the terminal's size, named in their headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from podium.runtime.nodeapi import channels
from podium.runtime.nodeapi.interfaces import Resize, Stdin
from podium.runtime.nodeapi.request import Streams
from podium.runtime.nodeapi.spdy.connection import SpdyConnection, Stream
from podium.runtime.nodeapi.upgrade import SPDY, BareConnection

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_CREATION_PATIENCE = 30.0  # seconds for a client to open its streams
_HEADER = "X-Stream-Protocol-Version"


def negotiate(offered: Sequence[str], known: Sequence[str]) -> str:
    """The protocol to speak: the server's favourite of those offered; clients from before there was a
    choice offer none. Raises HTTPForbidden, as upstream does."""
    if not offered:
        return known[-1]
    for protocol in known:
        if protocol in offered:
            return protocol
    raise web.HTTPForbidden(
        text=f"unable to upgrade: unable to negotiate protocol: client supports {list(offered)}"
    )


async def take_connection(request: web.Request, known: Sequence[str]) -> tuple[BareConnection, str]:
    """Upgrade a request to SPDY; the protocol that is spoken in its streams."""
    protocol = negotiate(request.headers.getall(_HEADER, []), known)
    headers = {"Connection": "Upgrade", "Upgrade": SPDY, _HEADER: protocol}
    return await BareConnection.take(request, headers), protocol


class SpdySession:
    """`open` first; `close` at the end in any case."""

    def __init__(self, wire: BareConnection, protocol: str, wanted: Streams) -> None:
        self._protocol = protocol
        self._wanted = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(wanted, name)}
        if wanted.tty and protocol in PROTOCOLS[:2]:
            self._wanted.add("resize")
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()
        self._connection = SpdyConnection(wire, self._opened)
        self._running = asyncio.ensure_future(self._connection.run())
        self._reading: dict[asyncio.Task[bytes], str] = {}

    async def open(self) -> None:
        """Wait for the streams that the client said it would open. Raises ConnectionError."""
        waiting = asyncio.ensure_future(self._complete.wait())
        try:
            await asyncio.wait(
                {waiting, self._running}, timeout=_CREATION_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        if not self._complete.is_set():
            raise ConnectionResetError("timed out waiting for client to create streams")
        # Where both have something, a terminal has its size before its first input.
        for name in ("resize", "stdin"):
            if name in self._streams:
                self._read_next(name)

    async def receive(self) -> Stdin | Resize | None:
        while True:
            await asyncio.wait({self._running, *self._reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in self._reading if task.done()]:
                message = self._message(self._reading.pop(task), task.result())
                if message is not None and not self._running.done():
                    return message
            if self._running.done():
                return None

    async def greet(self) -> None:
        """Nothing: the streams are the client's own."""

    async def send(self, stream: str, data: bytes) -> None:
        if stream in self._streams:
            await self._streams[stream].write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        for name in ("stdout", "stderr", "stdin", "resize"):
            if name in self._streams:
                await self._streams[name].close()
        if said := channels.outcome(self._protocol, status):
            await self._streams["error"].write(said)
        await self._streams["error"].close()

    async def close(self) -> None:
        for task in (*self._reading, self._running):
            task.cancel()
        await asyncio.gather(*self._reading, self._running, return_exceptions=True)
        await self._connection.close()

    async def _opened(self, stream: Stream) -> bool:
        name = stream.headers.get("streamtype", "")
        if name not in self._wanted or name in self._streams:
            return False
        self._streams[name] = stream
        if self._streams.keys() == self._wanted:
            self._complete.set()
        return True

    def _read_next(self, name: str) -> None:
        self._reading[asyncio.ensure_future(self._streams[name].read())] = name

    def _message(self, name: str, data: bytes) -> Stdin | Resize | None:
        if data:
            self._read_next(name)
        return Stdin(data) if name == "stdin" else channels.read_size(data)
