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

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from podium.api.auth.users import User, from_certificate
from podium.api.pki import Pair
from podium.api.upgrade import Upgrades

log = logging.getLogger(__name__)

BACKLOG = 1024
# Longer than the 90 s after which Go clients close idle connections, so that the client's end comes first.
KEEP_ALIVE = 120
CLOSING_TIME = 2.0
DATE_EVERY = 1.0

Address = tuple[str, int]
App = Callable[..., Awaitable[None]]


class State(ServerState):
    """What the connections of all listeners share. The date of answers is made when asked for, not by a
    ticking clock."""

    def __init__(self) -> None:
        self._made = 0.0
        self._date: list[tuple[bytes, bytes]] = []
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
    certificate's user."""

    def __init__(self, config: Config, state: State, upgrades: Upgrades) -> None:
        super().__init__(config, state, {"user": None})
        self._upgrades = upgrades

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state["user"] = from_certificate(transport.get_extra_info("peercert"))

    def _should_upgrade(self) -> bool:
        upgrade = self._get_upgrade()
        return upgrade is not None and upgrade != b"h2c"

    def handle_websocket_upgrade(self) -> None:
        """Whatever the upgrade is to: the connection is not ours to interpret from here on."""
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        user: User | None = self.app_state["user"]
        target = self.url.decode("latin-1")
        protocol = self._upgrades.protocol(self.scope["method"], target, list(self.scope["headers"]), user)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)


class Tls(NamedTuple):
    """The server's certificate, and the CA whose client certificates it trusts."""

    pair: Pair
    client_ca: str

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.pair.cert, self.pair.key)
        context.load_verify_locations(self.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context


class Listeners:
    """All sockets of one API server. `close` ends them and every connection."""

    def __init__(self, app: App, upgrades: Upgrades) -> None:
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
        self._servers: list[asyncio.Server] = []

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> Address:
        """Listens on one more address; port 0 is any. Returns the address. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = await asyncio.get_running_loop().create_server(
            self._connection, host, port, family=family, ssl=context, backlog=BACKLOG
        )
        self._servers.append(server)
        name: Sequence[Any] = server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    def _connection(self) -> Connection:
        connection = Connection(self._config, self._state, self._upgrades)
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
        self._servers.clear()
