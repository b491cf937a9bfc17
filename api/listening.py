"""Sockets, TLS and connections: uvicorn's HTTP protocol under a listener of our own.

uvicorn's server installs signal handlers, wakes ten times a second and serves one address; the API server
is embedded, idle most of the time and listens on several. So only uvicorn's protocol is used, which does
not depend on the rest. It is extended by what the API server needs of a connection: the client certificate,
read once, and upgrades handed on raw."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from podium.api.auth.users import from_certificate, validity
from podium.api.fairness import Fairness
from podium.api.handshakes import Handshake
from podium.api.pki import Pair
from podium.api.unfinished import HEAD_TIME, MAX_HEAD, Unfinished
from podium.api.upgrade import Upgrades
from podium.api.whole import WHOLE, Straight

log = logging.getLogger(__name__)

BACKLOG = 1024
# Longer than the 90 s after which Go clients close idle connections, so that the client's end comes first.
KEEP_ALIVE = 120
CLOSING_TIME = 2.0
# A client whose machine or network is gone sends no farewell: TCP asks after it, and does not wait longer
# than this for what was sent to be taken.
PROBES = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
UNTAKEN = 60_000  # milliseconds
# Seconds in which a client that still sends can read why it should not: closed at once, it would only see
# that the connection was reset.
LINGER = 0.5
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 35\r\nconnection: close\r\n\r\n431 Request Header Fields Too Large"
)
DATE_EVERY = 1.0

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which `ssl` has no name for.
NO_CHECK_TIME = 0x200000

Address = tuple[str, int]
App = Callable[..., Awaitable[None]]


class State(ServerState):
    """What the connections of all listeners share. The date of answers is made when asked for, not by a
    ticking clock."""

    def __init__(self) -> None:
        self._made = 0.0
        self._date: list[tuple[bytes, bytes]] = []
        self.unfinished = Unfinished()
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        now = time.monotonic()
        if not self._date or now - self._made >= DATE_EVERY:
            self._made = now
            self._date = [(b"date", formatdate(usegmt=True).encode())]
        return self._date

    @default_headers.setter
    def default_headers(self, value: list[tuple[bytes, bytes]]) -> None:
        """The base class sets its own."""


class Connection(HttpToolsProtocol):
    """One client's connection. `app_state`, which every request's scope gets a copy of, names the
    certificate's user, and from when to when it is valid."""

    def __init__(self, config: Config, state: State, upgrades: Upgrades, fairness: Fairness) -> None:
        super().__init__(config, state, {"user": None})
        self._fairness = fairness
        self._upgrades = upgrades
        self._unfinished = state.unfinished
        self._coming = True
        self._refused = False
        self._head_size = 0
        self.in_head = True

    @property
    def answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def cut_off(self) -> None:
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Who connects and says nothing is as slow as who says it slowly.
        self._unfinished.add(self)
        peer = transport.get_extra_info("peercert")
        self.app_state["user"], self.app_state["valid"] = from_certificate(peer), validity(peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unfinished.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._fairness.heard = True
        super().data_received(data)
        if not self._coming or self.parser is None:
            return
        self._unfinished.add(self)
        if self.in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self._refused = True
                self.transport.write(_HEAD_TOO_LARGE)
                self.loop.call_later(LINGER, self.transport.close)

    def on_message_begin(self) -> None:
        self._coming = self.in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_head = False
        scope, before = self.scope, self.cycle
        super().on_headers_complete()
        if (cycle := self.cycle) is not None and cycle is not before:
            scope[WHOLE] = Straight(cycle)  # type: ignore[literal-required]

    def on_message_complete(self) -> None:
        self._coming = False
        self._unfinished.discard(self)
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        upgrade = self._get_upgrade()
        return upgrade is not None and upgrade != b"h2c"

    def handle_websocket_upgrade(self) -> None:
        """Whatever the upgrade is to: the connection is not ours to interpret from here on."""
        self.connections.discard(self)
        self._unfinished.discard(self)
        self._coming = False
        self._unset_keepalive_if_required()
        path, _, query = self.url.partition(b"?")
        scope = {
            **self.scope, "path": unquote(path.decode("latin-1")), "raw_path": path, "query_string": query,
            "state": self.app_state,
        }  # fmt: skip
        protocol = self._upgrades.protocol(scope)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)


class Tls(NamedTuple):
    """The server's certificate, and the CA whose client certificates it trusts."""

    pair: Pair
    client_ca: str

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = Handshake
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.pair.cert, self.pair.key)
        context.load_verify_locations(self.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        # Whose certificate has expired is told so in an answer, and not by a connection that ends.
        context.verify_flags |= NO_CHECK_TIME
        context.set_alpn_protocols(["http/1.1"])
        return context


class Listeners:
    """All sockets of one API server. `close` ends them and every connection."""

    def __init__(self, app: App, upgrades: Upgrades, fairness: Fairness) -> None:
        self._config = Config(
            app=app,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._config.load()
        self._state = State()
        self._upgrades = upgrades
        self._fairness = fairness
        self._servers: list[asyncio.Server] = []

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> Address:
        """Listens on one more address; port 0 is any. Returns the address. Raises OSError."""
        made = _bound(host, port)
        try:
            server = await asyncio.get_running_loop().create_server(
                self._connection, sock=made, ssl=context, backlog=BACKLOG,
                ssl_handshake_timeout=HEAD_TIME if context else None,
            )  # fmt: skip
        except BaseException:
            made.close()
            raise
        self._servers.append(server)
        name: Sequence[Any] = server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    def _connection(self) -> Connection:
        connection = Connection(self._config, self._state, self._upgrades, self._fairness)
        connection.access_log = False
        return connection

    def refuse(self) -> None:
        """No new connections."""
        for server in self._servers:
            server.close()

    async def close(self) -> None:
        """Requests under way get CLOSING_TIME seconds. The app must have ended its
        streams."""
        self.refuse()
        for connection in list(self._state.connections):
            connection.shutdown()
        self._upgrades.close()
        tasks = [task for task in self._state.tasks if task is not asyncio.current_task()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSING_TIME)
            for task in late:
                task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        self._state.unfinished.close()
        self._servers.clear()


def _bound(host: str, port: int) -> socket.socket:
    """What is set here is so of each connection that is accepted, too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only on what says that it is TCP.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in PROBES:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN)
        made.bind((host, port))
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made
