from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop

from podium.api import spares
from podium.api.nodes import Endpoint
from podium.api.spares import Spares, Way


class Peer:
    """Takes connections and notes them."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def start(self) -> Way:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return Way(Endpoint(host, port), None, "")

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.put_nowait((reader, writer))

    def stop(self) -> None:
        self._server.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    yield peer
    peer.stop()


async def _gone(kept: Spares, way: Way) -> None:
    """Once it is noticed, which takes the loop some turns."""
    for _ in range(100_000):
        if way not in kept._ready:
            return
        await asyncio.sleep(0)


async def test_a_spare_is_made_once_and_taken_once(peer: Peer) -> None:
    way, kept = await peer.start(), Spares()
    kept.prepare(way)
    kept.prepare(way)
    reader, writer = await peer.came.get()
    kept.prepare(way)
    taken = kept.take(way)
    assert taken is not None
    assert kept.take(way) is None
    assert peer.came.empty()
    taken.write(b"said\n")
    assert await reader.readline() == b"said\n"
    taken.abort()
    writer.close()


async def test_a_spare_that_its_peer_has_closed_is_none(peer: Peer) -> None:
    way, kept = await peer.start(), Spares()
    kept.prepare(way)
    _, writer = await peer.came.get()
    writer.close()
    await _gone(kept, way)
    assert kept.take(way) is None


async def test_a_peer_that_speaks_unasked_is_not_listened_to(peer: Peer) -> None:
    way, kept = await peer.start(), Spares()
    kept.prepare(way)
    _, writer = await peer.came.get()
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    await _gone(kept, way)
    assert kept.take(way) is None


async def test_a_spare_that_nobody_needs_is_given_up(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "KEPT_FOR", 0.01)
    way, kept = await peer.start(), Spares()
    kept.prepare(way)
    reader, writer = await peer.came.get()
    assert await reader.read() == b""
    assert kept.take(way) is None
    writer.close()


async def test_nobody_listens_and_nothing_is_ready(peer: Peer) -> None:
    way, kept = await peer.start(), Spares()
    peer.stop()
    kept.prepare(way)
    await asyncio.gather(*kept._making.values())
    assert kept.take(way) is None


async def test_closing_ends_what_waits(peer: Peer) -> None:
    way, kept = await peer.start(), Spares()
    kept.prepare(way)
    reader, writer = await peer.came.get()
    kept.close()
    assert await reader.read() == b""
    writer.close()


def test_a_spare_can_be_had_on_the_loop_that_servers_run_on() -> None:
    async def taken() -> bool:
        peer, kept = Peer(), Spares()
        way = await peer.start()
        kept.prepare(way)
        _, writer = await peer.came.get()
        await asyncio.gather(*kept._making.values())
        spare = kept.take(way)
        if spare is not None:
            spare.abort()
        writer.close()
        peer.stop()
        return spare is not None

    assert uvloop.run(taken())
