"""Port forwarding: connections that a client accepts on its machine, continued to a port in a pod.

Over SPDY each connection is a pair of streams of one SPDY connection, one for data and one for what went
wrong, which belong together by their `requestid`; `portchannels` is the other way. Source:
k8s.io/client-go, tools/portforward."""

from __future__ import annotations

import asyncio
import logging
import socket

from aiohttp import web

from podium.runtime.interfaces import PodView
from podium.runtime.nodeapi.dialing import connect, refusal
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.portchannels import PROTOCOLS, ChannelForwarding, ports_of
from podium.runtime.nodeapi.request import find_pod
from podium.runtime.nodeapi.spdy.connection import ByteStream, SpdyConnection, Stream
from podium.runtime.nodeapi.spdysession import take_connection
from podium.runtime.nodeapi.upgrade import SPDY, TunnelConnection

log = logging.getLogger(__name__)

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"{SPDY}+{PROTOCOL}"

_PIECE = 32 * 1024


class PortForwards:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def forward(self, request: web.Request) -> web.StreamResponse:
        view = find_pod(self._node.pods, request)
        wire: ByteStream
        if request.headers.get("Upgrade", "").lower() == "websocket":
            offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
            if not any(offered) or (TUNNEL not in offered and set(offered) & set(PROTOCOLS)):
                return await ChannelForwarding(view, ports_of(request)).run(request)
            if TUNNEL not in offered:
                raise web.HTTPBadRequest(text=f"unable to negotiate protocol: client supports {offered}")
            tunnel = await TunnelConnection.take(request, TUNNEL)
            await Forwarding(view, tunnel).run()
            return tunnel.response
        if request.headers.get("Upgrade", "").lower() != SPDY.lower():
            raise web.HTTPBadRequest(text="unable to upgrade: missing upgrade headers in request")
        wire, _ = await take_connection(request, (PROTOCOL,))
        await Forwarding(view, wire).run()
        return web.Response()


class Forwarding:
    """One client's connections to one pod."""

    def __init__(self, view: PodView, wire: ByteStream) -> None:
        self._view = view
        self._connection = SpdyConnection(wire, self._opened)
        self._halves: dict[str, Stream] = {}
        self._pairs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client is gone."""
        try:
            await self._connection.run()
        finally:
            for task in self._pairs:
                task.cancel()
            await asyncio.gather(*self._pairs, return_exceptions=True)
            await self._connection.close()

    async def _opened(self, stream: Stream) -> bool:
        kind, port = stream.headers.get("streamtype"), stream.headers.get("port", "")
        if kind not in ("data", "error") or not port.isdigit() or not 0 < int(port) < 65536:
            return False
        request = stream.headers.get("requestid") or str(stream.id if kind == "error" else stream.id - 2)
        other = self._halves.pop(request, None)
        if other is None:
            self._halves[request] = stream
            return True
        if other.headers["streamtype"] == kind:
            return False
        data, error = (stream, other) if kind == "data" else (other, stream)
        task = asyncio.create_task(self._pair(data, error, int(port)))
        self._pairs.add(task)
        task.add_done_callback(self._pairs.discard)
        return True

    async def _pair(self, data: Stream, error: Stream, port: int) -> None:
        try:
            await self._carry(data, error, port)
        except ConnectionError as failure:
            log.debug("forwarding to port %s ends: %s", port, failure)
        finally:
            data.end()
            error.end()
            self._connection.forget(data, error)

    async def _carry(self, data: Stream, error: Stream, port: int) -> None:
        try:
            connected = await connect(self._view.netns, port)
        except OSError as failure:
            await error.write(refusal(self._view, port, failure).encode())
            await error.close()
            await data.reset()
            return
        with connected:
            await relay(connected, data)
        await data.close()
        await error.close()


async def relay(connection: socket.socket, stream: Stream) -> None:
    """Both directions, until the pod has closed its side; the client's end of input is passed on before."""
    incoming = asyncio.ensure_future(_to_pod(connection, stream))
    try:
        loop = asyncio.get_running_loop()
        while received := await loop.sock_recv(connection, _PIECE):
            await stream.write(received)
    finally:
        incoming.cancel()
        await asyncio.gather(incoming, return_exceptions=True)


async def _to_pod(connection: socket.socket, stream: Stream) -> None:
    loop = asyncio.get_running_loop()
    while data := await stream.read():
        await loop.sock_sendall(connection, data)
    connection.shutdown(socket.SHUT_WR)
