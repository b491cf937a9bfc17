"""Connections that turn into something else: exec, attach and port-forward, relayed to the node byte for
byte.

The server reads the head of the request, decides whether it may be, and where it goes; from then on it is two
sockets that copy into each other. Neither side is read while the other does not take what was read.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from podium.api.auth.users import User
from podium.api.nodes import Endpoint
from podium.api.types.errors import StatusError, internal, unavailable

log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]
CONNECT_TIMEOUT = 10.0
# Headers that speak of the client's connection to us or of its credentials, not of what it wants.
PRIVATE = frozenset({b"host", b"authorization", b"cookie", b"content-length", b"x-forwarded-for"})


def is_private(header: bytes) -> bool:
    """Whether a header stays here when its request is passed on."""
    return header in PRIVATE or header.startswith((b"impersonate-", b"x-remote-"))


class Route(NamedTuple):
    """Where an upgraded connection goes: `target` is path and query there. `context` None: without TLS.
    `name` is what the other's certificate is for, "" for its address; `headers` are sent besides the
    client's."""

    endpoint: Endpoint
    target: str
    context: ssl.SSLContext | None
    name: str = ""
    headers: tuple[tuple[str, str], ...] = ()


Decide = Callable[[str, str, list[Header], User | None], Awaitable[Route]]


class Upgrades:
    """Makes the protocols of upgraded connections and knows those that are open. `decide` authenticates,
    authorises, asks admission and routes; it raises StatusError."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._open: set[Client] = set()

    def protocol(self, method: str, target: str, headers: list[Header], user: User | None) -> Client:
        def route() -> Awaitable[Route]:
            return self._decide(method, target, headers, user)

        client = Client(method, headers, route, self._open.discard)
        self._open.add(client)
        return client

    def close(self) -> None:
        for client in list(self._open):
            client.abort()


class End(asyncio.Protocol):
    """One end of a relay. What arrives goes to the other end; reading stops while that one is full."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: End | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    def join(self, other: End) -> None:
        """From now on what arrives here goes there."""
        self.other = other
        for data in self._early:
            other.transport.write(data)
        self._early.clear()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


class Client(End):
    """The client's end. Connects to the node as soon as it is made."""

    def __init__(
        self,
        method: str,
        headers: list[Header],
        route: Callable[[], Awaitable[Route]],
        forget: Callable[[Client], None],
    ) -> None:
        super().__init__()
        self._method = method
        self._headers = headers
        self._route = route
        self._forget = forget
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Until there is somebody to give it to, what the client sends stays in its socket.
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget(self)
        if self._connecting is not None:
            self._connecting.cancel()

    def abort(self) -> None:
        self.transport.close()

    async def _connect(self) -> None:
        try:
            await self._join(await self._route())
        except StatusError as error:
            self._refuse(error)
        except (OSError, TimeoutError) as error:
            self._refuse(unavailable(f"error dialing backend: {error or 'timed out'}"))
        except Exception:
            log.exception("upgrade failed")
            self._refuse(internal("upgrade failed"))

    async def _join(self, route: Route) -> None:
        loop = asyncio.get_running_loop()
        host, port = route.endpoint
        async with asyncio.timeout(CONNECT_TIMEOUT):
            named = (route.name or host) if route.context else None
            transport, node = await loop.create_connection(
                End, host, port, ssl=route.context, server_hostname=named
            )
        if self.transport.is_closing():
            transport.close()
            return
        transport.write(self._head(route))
        node.join(self)
        self.join(node)
        self.transport.resume_reading()

    def _head(self, route: Route) -> bytes:
        host, port = route.endpoint
        lines = [f"{self._method} {route.target} HTTP/1.1\r\nhost: {host}:{port}\r\n".encode("latin-1")]
        lines += [b"%b: %b\r\n" % pair for pair in self._headers if not is_private(pair[0])]
        lines += [f"{name}: {value}\r\n".encode() for name, value in route.headers]
        return b"".join(lines) + b"\r\n"

    def _refuse(self, error: StatusError) -> None:
        """An ordinary answer instead of the upgrade."""
        body = orjson.dumps(error.status())
        head = f"HTTP/1.1 {error.code} {error.reason or 'Error'}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()
