"""A webhook as others write them: a small TLS server, which remembers what it was asked."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from podium.api import pki
from podium.api.types import Obj

Answer = Callable[[Obj], Any]


class WebhookServer:
    """`answer` makes a review's response of its request; bytes are sent as they are, an Event is
    waited for."""

    def __init__(self, bundle: str) -> None:
        self.bundle = bundle
        self.kind = "AdmissionReview"
        self.port = 0
        self.asked: list[Obj] = []
        self.answer: Answer = lambda request: {"allowed": True}

    def client_config(self, path: str = "/hook") -> Obj:
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                review = orjson.loads(await reader.readexactly(length))
                self.asked.append(review["request"])
                body = await self._body(review)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _body(self, review: Obj) -> bytes:
        request = review["request"]
        answer = self.answer(request)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return b"{}"
        if isinstance(answer, bytes):
            return answer
        response = {"uid": request["uid"], **answer}
        told = {"apiVersion": review["apiVersion"], "kind": self.kind, "response": response}
        return orjson.dumps(told)


@asynccontextmanager
async def webhook_server(directory: Path) -> AsyncIterator[WebhookServer]:
    authority = pki.ensure_ca(directory)
    pair = pki.issue_server(authority, directory, "webhook", ["127.0.0.1", "hook.default.svc"])
    found = WebhookServer(base64.b64encode(authority.pair.cert.read_bytes()).decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def json_patch(*operations: Obj) -> Obj:
    """A response that changes the object."""
    encoded = base64.b64encode(orjson.dumps(list(operations))).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}
