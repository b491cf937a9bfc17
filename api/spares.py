"""Connections to nodes that stand ready for the next client: making one costs both sides a TLS handshake,
which somebody who waits for a short command would feel."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any, NamedTuple, cast

from podium.api.nodes import Endpoint

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
KEPT_FOR = 30.0
"""Seconds that a connection waits for its use."""


class Way(NamedTuple):
    """Whom to connect to. `context` None: without TLS; `name` is what the other's certificate is for."""

    endpoint: Endpoint
    context: ssl.SSLContext | None
    name: str


async def connect(way: Way, protocol: asyncio.Protocol) -> None:
    """Raises OSError, TimeoutError."""
    host, port = way.endpoint
    named = (way.name or host) if way.context else None
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await asyncio.get_running_loop().create_connection(
            lambda: protocol, host, port, ssl=way.context, server_hostname=named
        )


class Spares:
    """At most one connection for each way, made by `prepare` and gone with its `take`."""

    def __init__(self) -> None:
        self._ready: dict[Way, _Idle] = {}
        self._making: dict[Way, asyncio.Task[None]] = {}

    def take(self, way: Way) -> asyncio.Transport | None:
        """A connection that is the caller's from now on, None where there is none. Its peer may have gone
        silently: what is sent is given up after CONNECT_TIMEOUT seconds without a word from there."""
        idle = self._ready.pop(way, None)
        return idle.leave() if idle is not None else None

    def prepare(self, way: Way) -> None:
        if way in self._ready or way in self._making:
            return
        task = asyncio.get_running_loop().create_task(self._make(way))
        self._making[way] = task
        task.add_done_callback(lambda _: self._making.pop(way, None))

    def close(self) -> None:
        for task in list(self._making.values()):
            task.cancel()
        for idle in list(self._ready.values()):
            idle.transport.abort()

    async def _make(self, way: Way) -> None:
        idle = _Idle(self._ready, way)
        try:
            await connect(way, idle)
        except (OSError, TimeoutError) as error:
            log.debug("no spare connection to %s: %s", way.endpoint, error)


class _Idle(asyncio.Protocol):
    """Nobody speaks yet: whatever comes is the end of it."""

    transport: asyncio.Transport

    def __init__(self, ready: dict[Way, _Idle], way: Way) -> None:
        self._ready = ready
        self._way = way
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._ready[self._way] = self
        self._timer = asyncio.get_running_loop().call_later(KEPT_FOR, transport.close)

    def data_received(self, data: bytes) -> None:
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ready.get(self._way) is self:
            del self._ready[self._way]

    def leave(self) -> asyncio.Transport | None:
        if self._timer is not None:
            self._timer.cancel()
        if self.transport.is_closing():
            return None
        limit_silence(self.transport, CONNECT_TIMEOUT)
        return self.transport


def limit_silence(transport: asyncio.Transport, seconds: float) -> None:
    """How long what was sent may stay without acknowledgement; 0: as long as the system says."""
    peer: Any = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
