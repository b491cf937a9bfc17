"""Connections that leave HTTP: bytes both ways, over the bare connection or inside the messages of a
WebSocket."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSMsgType, web

from podium.runtime.nodeapi.websocket import MAX_MESSAGE

SPDY = "SPDY/3.1"
_HIGH_WATER = 256 * 1024


class BareConnection(asyncio.Protocol):
    """Takes the connection of a request over from the HTTP server, which goes on to know when it is lost."""

    def __init__(self, transport: asyncio.Transport, server: asyncio.BaseProtocol) -> None:
        self._transport = transport
        self._server = server
        self._received: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def take(cls, request: web.Request, headers: dict[str, str]) -> BareConnection:
        """Answer the request with 101 and these headers, then speak whatever was agreed on."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("client left")
        connection = cls(transport, transport.get_protocol())
        transport.set_protocol(connection)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await connection.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode())
        return connection

    async def read(self) -> bytes:
        while not self._received:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = self._received.popleft()
        self._size -= len(data)
        if not self._received and not self._ended:
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._ended or self._transport.is_closing():
            raise ConnectionResetError("client left")
        self._transport.write(data)
        await self._writable.wait()

    async def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > _HIGH_WATER:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._server.connection_lost(exc)

    def _end(self) -> None:
        self._ended = True
        self._readable.set()
        self._writable.set()


class TunnelConnection:
    """A WebSocket whose binary messages, put one behind the other, are the bytes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def take(cls, request: web.Request, protocol: str) -> TunnelConnection:
        socket = web.WebSocketResponse(protocols=(protocol,), max_msg_size=MAX_MESSAGE, compress=False)
        await socket.prepare(request)
        return cls(socket)

    @property
    def response(self) -> web.StreamResponse:
        return self._socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()
