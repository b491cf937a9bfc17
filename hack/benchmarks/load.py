"""A small HTTP/1.1 load generator over TLS keep-alive: cheap enough that the server is what is measured."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import urlsplit

import httptools

Request = bytes
Made = TypeVar("Made", bound="_Connection")


@dataclass
class Outcome:
    """Latencies in seconds, the first answers that were no success."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, float | int | list[str]]:
        ordered = sorted(self.latencies)
        return {
            "requests": len(ordered),
            "per_second": round(len(ordered) / self.seconds, 1),
            "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
            **({"failures": self.failures[:3]} if self.failures else {}),
        }


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[tuple[int, int]] | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.size = 0
        # Of errors, and of answers that somebody wants to read.
        self.text = b""
        self.keeps = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        if self.parser.get_status_code() >= 300 or self.keeps:
            self.text += body

    def on_message_complete(self) -> None:
        answer, self.answer = self.answer, None
        if answer and not answer.done():
            answer.set_result((self.parser.get_status_code(), self.size))
        self.parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError("closed by the server"))

    async def send(self, request: Request) -> tuple[int, int]:
        self.size, self.text = 0, b""
        self.answer = asyncio.get_running_loop().create_future()
        assert self.transport
        self.transport.write(request)
        return await self.answer


class Watcher(_Connection):
    """One watch: counts the events that come in, and says when there were `wanted` of them."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        self.wanted = 0
        self.reached: asyncio.Future[None] | None = None

    def on_body(self, body: bytes) -> None:
        self.events += body.count(b"\n")
        if self.reached and not self.reached.done() and self.events >= self.wanted:
            self.reached.set_result(None)

    def expect(self, events: int) -> asyncio.Future[None]:
        self.events, self.wanted = 0, events
        self.reached = asyncio.get_running_loop().create_future()
        return self.reached

    def watch(self, request: Request) -> None:
        assert self.transport
        self.transport.write(request)


class Server:
    """Where requests go, from a kubeconfig's cluster and user."""

    def __init__(self, url: str, context: ssl.SSLContext, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 443
        self.context = context
        self.headers = headers

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Request:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Accept: {accept}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if body:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def connect(self) -> _Connection:
        return await self._connected(_Connection)

    async def watch(self, path: str) -> Watcher:
        """A watch of `path` that the server has begun to answer."""
        watcher = await self._connected(Watcher)
        watcher.watch(self.request("GET", path))
        return watcher

    async def _connected(self, make: Callable[[], Made]) -> Made:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(make, self.host, self.port, ssl=self.context)
        return connection

    async def waits(self, path: str, until: asyncio.Task[object], every: float = 0.002) -> list[float]:
        """How long a small request takes, again and again on a connection of its own, until `until` is done:
        what others feel of it. In seconds."""
        client, taken = await self.connect(), []
        while not until.done():
            before = time.perf_counter()
            await client.send(self.request("GET", path))
            taken.append(time.perf_counter() - before)
            await asyncio.sleep(every)
        if client.transport:
            client.transport.close()
        return taken

    async def run(self, requests: Iterator[Request], connections: int) -> Outcome:
        """All of `requests`, over `connections` at once, each answer awaited before the connection's next
        request."""
        outcome = Outcome()
        clients = await asyncio.gather(*(self.connect() for _ in range(connections)))
        started = time.perf_counter()
        await asyncio.gather(*(self._drain(client, requests, outcome) for client in clients))
        outcome.seconds = time.perf_counter() - started
        for client in clients:
            if client.transport:
                client.transport.close()
        return outcome

    @staticmethod
    async def _drain(client: _Connection, requests: Iterator[Request], outcome: Outcome) -> None:
        clock = time.perf_counter
        for request in requests:
            before = clock()
            status, _ = await client.send(request)
            outcome.latencies.append(clock() - before)
            if status >= 300:
                outcome.failures.append(f"{status} {client.text[:300]!r}")

    async def read(self, path: str) -> bytes:
        """The body of one answer."""
        client = await self.connect()
        client.keeps = True
        await client.send(self.request("GET", path))
        if client.transport:
            client.transport.close()
        return client.text

    async def once(self, make: Callable[[], Request]) -> tuple[float, int]:
        """Seconds and bytes of one request on a fresh, already open connection."""
        client = await self.connect()
        before = time.perf_counter()
        _, size = await client.send(make())
        taken = time.perf_counter() - before
        if client.transport:
            client.transport.close()
        return taken, size
