"""A GET of the application from within its own process, without a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from podium.api.auth.users import User
from podium.api.exchange import Message
from podium.api.types import Obj
from podium.api.types.errors import StatusError

Asgi = Callable[..., Any]


async def ask(app: Asgi, target: str, user: User) -> Obj:
    """The object at `target`, a path with its query, as `user` sees it. Raises StatusError."""
    parts = urlsplit(target)
    status, pieces, asked = 500, [], False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            # Whoever asks from within does not go away.
            await asyncio.get_running_loop().create_future()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    scope: Message = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"accept", b"application/json")],
        "client": None,
        "server": None,
        "state": {"user": user},
    }
    await app(scope, receive, send)
    body = b"".join(pieces)
    try:
        answer: Obj = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise StatusError(status, "", body.decode(errors="replace").strip()) from None
    if status >= 400:
        raise StatusError.from_status({"code": status, **answer})
    return answer
