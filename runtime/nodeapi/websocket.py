"""A remote command's client over a WebSocket."""

from __future__ import annotations

from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from podium.runtime.nodeapi import channels
from podium.runtime.nodeapi.interfaces import Resize, Stdin
from podium.runtime.nodeapi.request import Streams

MAX_MESSAGE = 4 * 1024 * 1024
_CHANNELS = {"stdout": channels.STDOUT, "stderr": channels.STDERR}


class WebSocketSession:
    """Speaks the channel protocol that client and server agreed on. Messages are read one at a time, when
    asked for, so that what is not wanted yet stays in the connection."""

    def __init__(self, socket: web.WebSocketResponse, wanted: Streams) -> None:
        self._socket = socket
        self._wanted = {"stdout": wanted.stdout, "stderr": wanted.stderr}
        self._protocol = socket.ws_protocol or ""

    @classmethod
    async def accept(cls, request: web.Request, wanted: Streams) -> WebSocketSession:
        """Raises HTTPBadRequest when the client offers protocols and none of them is ours."""
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if any(offered) and not set(offered) & set(channels.PROTOCOLS):
            raise web.HTTPBadRequest(text=f"unable to negotiate protocol: client supports {offered}")
        socket = web.WebSocketResponse(protocols=channels.PROTOCOLS, max_msg_size=MAX_MESSAGE, compress=False)
        await socket.prepare(request)
        return cls(socket, wanted)

    @property
    def response(self) -> web.StreamResponse:
        return self._socket

    async def greet(self) -> None:
        """Tells clients that wait for a first message. Others complain of one that comes before they are
        ready for it, as kubectl does when it is in the very moment of being accepted."""
        await self._write(channels.STDOUT, b"")

    async def receive(self) -> Stdin | Resize | None:
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return None
            decoded = channels.decode(self._protocol, message.data)
            read = channels.read_input(self._protocol, decoded) if decoded else None
            if read is not None:
                return read

    async def send(self, stream: str, data: bytes) -> None:
        if self._wanted[stream]:
            await self._write(_CHANNELS[stream], data)

    async def finish(self, status: dict[str, Any]) -> None:
        if said := channels.outcome(self._protocol, status):
            await self._write(channels.ERROR, said)
        await self._socket.close(code=WSCloseCode.OK)

    async def _write(self, channel: int, data: bytes) -> None:
        message = channels.encode(self._protocol, channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)
