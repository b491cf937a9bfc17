"""A node as the API server sees it: TLS with client certificates, ordinary answers and upgraded
connections."""

from __future__ import annotations

import asyncio
import ssl

from podium.api import pki
from podium.api.server import ApiServer
from tests.unit.api.http.harness import CORE, Http


class Node:
    """Answers every request with what it was asked; an upgrade becomes an echo. `requests` are the heads
    seen."""

    def __init__(self, server: ApiServer, name: str = "one") -> None:
        pair = pki.issue_node(server.authority, server.pki_dir, name, ["127.0.0.1"])
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.ca_file))
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(pair.cert, pair.key)
        self.name = name
        self.requests: list[str] = []
        self.users: list[str] = []
        self.body = b"a line\n"
        self.status = "200 OK"
        self.stays_open = False
        self.silent = False
        self.left = asyncio.Event()
        self.connections: list[asyncio.StreamWriter] = []
        self.connected = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, http: Http) -> None:
        """Listens, and registers itself."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        port = self._server.sockets[0].getsockname()[1]
        await http.made(f"{CORE}/nodes", {"metadata": {"name": self.name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        reply = await http.patch(f"{CORE}/nodes/{self.name}/status", {"status": status})
        assert reply.code == 200, reply.text

    def stop_listening(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        self.connected.set()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        if self.silent:
            writer.close()
            return
        self.requests.append(head)
        subject = dict(pair for names in writer.get_extra_info("peercert")["subject"] for pair in names)
        self.users.append(subject["commonName"])
        if "upgrade: " in head.lower() and self.status.startswith("200"):
            await self._echo(reader, writer)
        else:
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = "" if self.stays_open else f"Content-Length: {len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {self.status}\r\n{size}\r\n".encode() + self.body)
        await writer.drain()
        if self.stays_open:
            await reader.read()
            self.left.set()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        )
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
