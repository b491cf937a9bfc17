"""A command without streams: its output is the answer to a plain request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from podium.runtime.nodeapi.interfaces import Resize, Stdin

HELD = 64 << 10
"""Bytes of output that wait for the end of the command, which decides over the answer's code."""


class PlainSession:
    """Sends what is more than a little as it comes: then a failure shows as an answer that breaks off."""

    def __init__(self, request: web.Request, command: Sequence[str]) -> None:
        self._request = request
        self._command = " ".join(command)
        self._held = bytearray()
        self.response: web.StreamResponse | None = None

    async def greet(self) -> None:
        """Nothing: the answer begins with the first output."""

    async def receive(self) -> Stdin | Resize | None:
        """Nothing ever comes. A client that leaves ends the request."""
        await asyncio.Event().wait()
        return None

    async def send(self, stream: str, data: bytes) -> None:
        if self.response is not None:
            await self.response.write(data)
            return
        self._held += data
        if len(self._held) > HELD:
            self.response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
            await self.response.prepare(self._request)
            await self.response.write(bytes(self._held))

    async def finish(self, status: dict[str, Any]) -> None:
        """Raises 500 with what the command said when it failed."""
        if self.response is None:
            self.response = self._whole(status)
        elif status["status"] == "Success":
            await self.response.write_eof()
        elif self._request.transport is not None:
            self._request.transport.abort()

    def _whole(self, status: dict[str, Any]) -> web.Response:
        output = self._held.decode(errors="replace")
        if status["status"] == "Success":
            return web.Response(text=output)
        code = _exit_code(status)
        failed = f"command '{self._command}' exited with {code}: {output}" if code else status["message"]
        raise web.HTTPInternalServerError(text=failed)


def _exit_code(status: dict[str, Any]) -> str:
    """Empty when there was none."""
    causes = (status.get("details") or {}).get("causes") or ()
    return next((str(each["message"]) for each in causes if each.get("reason") == "ExitCode"), "")
