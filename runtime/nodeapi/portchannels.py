"""Port forwarding by the channels of a WebSocket: how client libraries do it that speak no SPDY.

The ports are named in the request, and each is one connection: channel 2i carries its data both ways, channel
2i+1 what went wrong. The first message of each, from the node, is the port's number in two bytes, low byte
first. A client that has ended its side cannot say so. Source: k8s.io/kubelet, "portforward.k8s.io" over
v4.channel.k8s.io; a client that names no protocol means that one."""

from __future__ import annotations

import asyncio
import logging
import socket

from aiohttp import WSMsgType, web

from podium.runtime.interfaces import PodView
from podium.runtime.nodeapi import channels
from podium.runtime.nodeapi.dialing import connect, refusal

log = logging.getLogger(__name__)

PROTOCOLS = (channels.V4, channels.V4_BASE64)
MAX_MESSAGE = 1 << 20
MAX_PORTS = 128
_PIECE = 32 * 1024
# Messages that wait for a pod which does not read; then the client waits, too.
_WAITING = 32


def ports_of(request: web.Request) -> list[int]:
    """Raises 400."""
    texts = [text for value in request.query.getall("ports", ()) for text in value.split(",")]
    if not texts:
        raise web.HTTPBadRequest(text='query parameter "ports" is required')
    found = [int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0 for text in texts]
    for text, port in zip(texts, found, strict=True):
        if not 0 < port < 65536:
            raise web.HTTPBadRequest(text=f'unable to parse "{text}" as a port')
    if len(found) > MAX_PORTS:
        raise web.HTTPBadRequest(text=f"more than {MAX_PORTS} ports")
    return found


class ChannelForwarding:
    """One client's WebSocket to the ports of one pod, until the client is gone or all ports are done."""

    def __init__(self, view: PodView, ports: list[int]) -> None:
        self._view = view
        self._ports = ports
        self._socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=MAX_MESSAGE, compress=False)
        self._inputs: list[asyncio.Queue[bytes]] = [asyncio.Queue(_WAITING) for _ in ports]
        self._over: set[int] = set()

    async def run(self, request: web.Request) -> web.WebSocketResponse:
        await self._socket.prepare(request)
        self._protocol = self._socket.ws_protocol or channels.V4
        reading = asyncio.create_task(self._read())
        working = asyncio.create_task(self._forward_all())
        try:
            await asyncio.wait((reading, working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, working):
                task.cancel()
            await asyncio.gather(reading, working, return_exceptions=True)
        await self._socket.close()
        return self._socket

    async def _read(self) -> None:
        """Until the client is gone, or says what is not for it to say."""
        async for received in self._socket:
            if received.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            message = channels.decode(self._protocol, received.data)
            if message is None:
                continue
            index, is_error = divmod(message.channel, 2)
            if is_error or not 0 <= index < len(self._ports):
                return
            # For a connection that is over nobody would take it.
            if index not in self._over:
                await self._inputs[index].put(message.data)

    async def _forward_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._ports)):
                group.create_task(self._forward(index))

    async def _forward(self, index: int) -> None:
        port = self._ports[index]
        for channel in (2 * index, 2 * index + 1):
            await self._send(channel, port.to_bytes(2, "little"))
        try:
            with await connect(self._view.netns, port) as connected:
                await self._relay(index, connected)
        except OSError as failure:
            await self._send(2 * index + 1, refusal(self._view, port, failure).encode())
        finally:
            self._over.add(index)
            while not self._inputs[index].empty():
                self._inputs[index].get_nowait()

    async def _relay(self, index: int, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        incoming = asyncio.create_task(self._to_pod(index, connected))
        try:
            while received := await loop.sock_recv(connected, _PIECE):
                await self._send(2 * index, received)
        except ConnectionError as failure:
            log.debug("forwarding to port %s ends: %s", self._ports[index], failure)
        finally:
            incoming.cancel()
            await asyncio.gather(incoming, return_exceptions=True)

    async def _to_pod(self, index: int, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await loop.sock_sendall(connected, await self._inputs[index].get())

    async def _send(self, channel: int, data: bytes) -> None:
        message = channels.encode(self._protocol, channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)
