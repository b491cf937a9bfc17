"""Listens on UDP and TCP and answers from the zone, or from upstream what the zone does not know.

An answer from the zone is kept as bytes until anything in the cluster changes, so most questions cost one
dictionary look-up.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import cast

from podium.netd.dns import wire
from podium.netd.dns.forward import Forwarder, Unanswered, addresses
from podium.netd.dns.zone import Answer, Zone

log = logging.getLogger(__name__)

KEPT_ANSWERS = 4096
# As many orders of an answer with several addresses are kept, and given out in turn.
ORDERS = 8
TCP_AT_ONCE = 128
TCP_IDLE_SECONDS = 10.0
TCP_SIZE = 65535


class Resolver:
    """Query in, answer out. `answer` never blocks; what it cannot answer from memory is for `ask`."""

    def __init__(self, zone: Zone, forwarder: Forwarder) -> None:
        self._zone = zone
        self._forwarder = forwarder
        self._kept: dict[bytes, list[bytes]] = {}

    def forget(self) -> None:
        """Something in the cluster changed."""
        self._kept.clear()

    def answer(self, data: bytes, *, tcp: bool = False) -> bytes | None:
        """The answer with the query's id, b"" for what deserves none, None if upstream must be asked."""
        key = data[2:] if not tcp else b"tcp" + data[2:]
        orders = self._kept.get(key)
        if orders is None:
            orders = self._orders(data, tcp)
            if orders is None:
                return None
            if len(self._kept) >= KEPT_ANSWERS:
                self._kept.clear()
            self._kept[key] = orders
        if len(orders) > 1:
            orders.append(orders.pop(0))
        return data[:2] + orders[-1][2:] if orders else b""

    async def ask(self, data: bytes, *, tcp: bool = False) -> bytes:
        """The answer to a query that `answer` left to upstream."""
        question = wire.parse(data)
        limit = TCP_SIZE if tcp else min(question.size, wire.EDNS_SIZE)
        found = self._zone.answer(question.name, question.type)
        if found is not None:
            records = [*found.records, *await addresses(self._forwarder, found.follow, question.type)]
            return wire.response(question, found.rcode, records, limit=limit)
        try:
            return await self._forwarder.ask(data, tcp=tcp)
        except Unanswered as error:
            log.debug("%s: %s", question.name, error)
            return wire.response(question, wire.SERVFAIL, limit=limit, authoritative=False)

    def _orders(self, data: bytes, tcp: bool) -> list[bytes] | None:
        try:
            question = wire.parse(data)
        except wire.WireError:
            return _malformed(data)
        limit = TCP_SIZE if tcp else min(question.size, wire.EDNS_SIZE)
        if question.flags & wire.OPCODE:
            return [wire.response(question, wire.NOTIMP, limit=limit, authoritative=False)]
        found = self._zone.answer(question.name, question.type)
        if found is None or found.follow:
            return None
        return _in_turn(question, found, limit)


def _in_turn(question: wire.Question, found: Answer, limit: int) -> list[bytes]:
    """Clients take the first address: each order puts another one there."""
    records = found.records
    turns = min(len(records), ORDERS) if question.type == wire.A and len(records) > 1 else 1
    orders = [records[turn:] + records[:turn] for turn in range(turns)]
    rest = found.authority, found.additional
    return [wire.response(question, found.rcode, order, *rest, limit=limit) for order in orders]


def _malformed(data: bytes) -> list[bytes]:
    """FORMERR without the question, which could not be read; nothing for what may be an answer, since two
    servers could go on answering each other."""
    if len(data) < wire.HEADER.size or data[2] & 0x80:
        return []
    return [wire.HEADER.pack(0, wire.RESPONSE | wire.FORMERR, 0, 0, 0, 0)]


class UdpServer(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._resolver.answer(data)
        if answer is None:
            task = asyncio.get_running_loop().create_task(self._ask(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif answer:
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("a client went away: %s", exc)

    async def _ask(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = await self._resolver.ask(data)
        if not self._transport.is_closing():
            self._transport.sendto(answer, addr)


class TcpServer:
    """Any number of queries per connection, one after the other."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= TCP_AT_ONCE:
                await self._talk(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone, or has nothing more to ask
        finally:
            self._connections -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(TCP_IDLE_SECONDS):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                data = await reader.readexactly(length)
            answer = self._resolver.answer(data, tcp=True)
            if answer is None:
                answer = await self._resolver.ask(data, tcp=True)
            if not answer:
                return
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
