"""Connections that turn into something else: exec, attach and port-forward, relayed to the node byte for
byte.

The server reads the head of the request, decides whether it may be, and where it goes; from then on it is two
sockets that copy into each other. Neither side is read while the other does not take what was read.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple, Protocol

import orjson

from podium.api.forwarding import Header, forwarded
from podium.api.nodes import Endpoint
from podium.api.spares import Spares, Way, connect, limit_silence
from podium.api.types.errors import StatusError, internal, unavailable

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
# Bytes that the head of the other's answer may have.
MAX_HEAD = 64 << 10
SWITCHED = 101


class Route(NamedTuple):
    """Where an upgraded connection goes: `target` is path and query there. `context` None: without TLS.
    `name` is what the other's certificate is for, "" for its address; `headers` are sent besides the
    client's. `again`: more will go there soon, so that a connection may wait for the next one."""

    endpoint: Endpoint
    target: str
    context: ssl.SSLContext | None
    name: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    again: bool = False

    @property
    def way(self) -> Way:
        return Way(self.endpoint, self.context, self.name)


class Visitor(Protocol):
    """What is known elsewhere of an upgraded request. `route` decides whether it may be, and where it goes;
    it raises StatusError. Then it is `answered`, with what kept it from being passed on if something did,
    and `ended` with the connection."""

    async def route(self) -> Route: ...

    def answered(self, code: int, error: StatusError | None = None) -> None: ...

    def ended(self) -> None: ...


Visits = Callable[[Scope], Visitor]


class Upgrades:
    """Makes the protocols of upgraded connections and knows those that are open. `visits` hears of each of
    them."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._open: set[Client] = set()
        self._spares = Spares()
        self._closing = False

    def protocol(self, scope: Scope) -> Client:
        client = Client(
            scope["method"], list(scope["headers"]), self._visits(scope), self._spares, self._left
        )
        self._open.add(client)
        return client

    def close(self) -> None:
        self._closing = True
        self._spares.close()
        for client in list(self._open):
            client.abort()

    def _left(self, client: Client, route: Route | None) -> None:
        self._open.discard(client)
        if route is not None and route.again and not self._closing:
            self._spares.prepare(route.way)


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


class Backend(End):
    """The other server's end. Until that has agreed to the upgrade, nothing of the client's reaches it behind
    the request that was looked at: what comes there in our name must not be of the client's making."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._head = b""
        self._read = False

    def data_received(self, data: bytes) -> None:
        if self._read:
            self._client.transport.write(data)
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > MAX_HEAD:
            self._read = True
            # It is there: from now on it may be out of reach for as long as any other.
            limit_silence(self.transport, 0)
            self._client.answer_came(_code_of(self._head))
            self._client.transport.write(self._head)
            self._head = b""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._read and self.other is not None:
            self._client.backend_left(exc)
        super().connection_lost(exc)


class Client(End):
    """The client's end. Connects to the other server as soon as it is made."""

    def __init__(
        self,
        method: str,
        headers: list[Header],
        visit: Visitor,
        spares: Spares,
        left: Callable[[Client, Route | None], None],
    ) -> None:
        super().__init__()
        self._method = method
        self._headers = headers
        self._visit = visit
        self._passing = False
        self._answered = False
        self._spares = spares
        self._left = left
        self._route: Route | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Until there is somebody to give it to, what the client sends stays in its socket.
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._left(self, self._route if self._answered else None)
        self._visit.ended()
        if self._connecting is not None:
            self._connecting.cancel()

    def abort(self) -> None:
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._passing:
            super().data_received(data)

    def answer_came(self, code: int) -> None:
        """From here on the client is heard, and passed on if the other has agreed."""
        self._answered = True
        self._passing = code == SWITCHED
        self._visit.answered(code)
        self.transport.resume_reading()

    async def _connect(self) -> None:
        try:
            await self._join(await self._visit.route())
        except StatusError as error:
            self._refuse(error)
        except (OSError, TimeoutError) as error:
            self._refuse(unavailable(f"error dialing backend: {error or 'timed out'}"))
        except Exception:
            log.exception("upgrade failed")
            self._refuse(internal("upgrade failed"))

    def backend_left(self, exc: Exception | None) -> None:
        """Before it has said a word."""
        if not self.transport.is_closing():
            self._refuse(unavailable(f"error dialing backend: {exc or 'EOF'}"))

    async def _join(self, route: Route) -> None:
        node = Backend(self)
        if route.again and (spare := self._spares.take(route.way)) is not None:
            spare.set_protocol(node)
            node.connection_made(spare)
        else:
            await connect(route.way, node)
        if self.transport.is_closing():
            node.transport.close()
            return
        self._route = route
        node.transport.write(self._head(route))
        node.join(self)
        self.join(node)

    def _head(self, route: Route) -> bytes:
        host, port = route.endpoint
        lines = [f"{self._method} {route.target} HTTP/1.1\r\nhost: {host}:{port}\r\n".encode("latin-1")]
        lines += [b"%b: %b\r\n" % pair for pair in forwarded(self._headers)]
        upgrade = b", ".join(value for name, value in self._headers if name == b"upgrade")
        lines.append(b"connection: Upgrade\r\nupgrade: %b\r\n" % upgrade)
        lines += [f"{name}: {value}\r\n".encode() for name, value in route.headers]
        return b"".join(lines) + b"\r\n"

    def _refuse(self, error: StatusError) -> None:
        """An ordinary answer instead of the upgrade."""
        self._visit.answered(error.code, error)
        body = orjson.dumps(error.status())
        head = f"HTTP/1.1 {error.code} {error.reason or 'Error'}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


def _code_of(head: bytes) -> int:
    """The code of an answer, 0 for what is none."""
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        return 0
    return int(words[1]) if len(words[1]) == 3 and words[1].isdigit() else 0
