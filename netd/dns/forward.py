"""Questions that are not about the cluster go to the resolvers upstream: bounded in number and in time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from podium.netd.dns import wire

log = logging.getLogger(__name__)

Server = tuple[str, int]

AT_ONCE = 256
SECONDS_PER_SERVER = 2.0
# Where systemd-resolved keeps what its stub, which only the host itself can reach, stands for.
RESOLVED = Path("/run/systemd/resolve/resolv.conf")


class Unanswered(Exception):
    """No resolver gave an answer in time."""


def server_of(text: str) -> Server:
    """ADDRESS or ADDRESS:PORT."""
    host, _, port = text.partition(":")
    return host, int(port or 53)


def nameservers(text: str) -> list[str]:
    """The IPv4 nameservers of a resolv.conf."""
    lines = (line.split() for line in text.splitlines())
    return [
        parts[1] for parts in lines if len(parts) > 1 and parts[0] == "nameserver" and ":" not in parts[1]
    ]


class ResolvConf:
    """The resolvers that the machine uses, read again when the file changes. Never `own`, which would be a
    loop."""

    def __init__(self, path: Path, own: str, resolved: Path = RESOLVED) -> None:
        self._path, self._own, self._resolved = path, own, resolved
        self._changed = -1
        self._servers: list[Server] = []

    def __call__(self) -> list[Server]:
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._changed:
                self._servers = self._read()
                self._changed = changed
        except OSError as error:
            log.warning("cannot read %s: %s", self._path, error)
        return self._servers

    def _read(self) -> list[Server]:
        found = nameservers(self._path.read_text())
        if found and all(server.startswith("127.") for server in found) and self._resolved.exists():
            found = nameservers(self._resolved.read_text())
        return [(server, 53) for server in found if server != self._own]


class Forwarder:
    """Asks one server after the other. Each question has a socket and an id of its own, so that answers
    cannot be guessed."""

    def __init__(self, servers: Callable[[], list[Server]], *, seconds: float = SECONDS_PER_SERVER) -> None:
        self._servers = servers
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def ask(self, query: bytes, *, tcp: bool = False) -> bytes:
        """The answer to a query, with the query's id. Raises Unanswered, at once if too many are under
        way."""
        if self._slots.locked():
            raise Unanswered("too many questions are under way")
        ident = secrets.randbelow(1 << 16)
        sent = struct.pack("!H", ident) + query[2:]
        async with self._slots:
            for server in self._servers():
                try:
                    async with asyncio.timeout(self._seconds):
                        answer = await (_by_tcp(server, sent) if tcp else _by_udp(server, sent))
                    return query[:2] + answer[2:]
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    log.debug("resolver %s: %s", server[0], error or "no answer in time")
        raise Unanswered("no resolver answered")


class _Exchange(asyncio.DatagramProtocol):
    """One question to one server."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.DatagramTransport, transport).sendto(self._query)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.answer.done() and _answers(data, self._query):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


def _answers(data: bytes, query: bytes) -> bool:
    if len(data) < wire.HEADER.size or data[:2] != query[:2] or not data[2] & 0x80:
        return False
    try:
        return wire.read_name(data, wire.HEADER.size)[0] == wire.read_name(query, wire.HEADER.size)[0]
    except (wire.WireError, IndexError):
        return False


async def _by_udp(server: Server, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(query), remote_addr=server)
    try:
        return await exchange.answer
    finally:
        transport.close()


async def _by_tcp(server: Server, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


async def addresses(forwarder: Forwarder, name: str, kind: int) -> list[wire.Record]:
    """What `name` leads to upstream; nothing if nobody says."""
    try:
        answer = await forwarder.ask(wire.query(0, name, kind))
        return wire.answers_of(answer)[1]
    except (Unanswered, wire.WireError) as error:
        log.debug("%s: %s", name, error)
        return []
