"""Requests passed to the server of an aggregated API, in the name of the user who asked."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

from podium.api.aggregation.backend import Backend
from podium.api.aggregation.remote import identity
from podium.api.auth.users import User
from podium.api.core import Core
from podium.api.exchange import Exchange
from podium.api.forwarding import forwarded
from podium.api.passing import pass_back
from podium.api.types.errors import StatusError, unavailable
from podium.api.upgrade import Route

if TYPE_CHECKING:
    import aiohttp

_PATH = "/~!$&'()*+,;=:@"  # what a path may hold as it is; RFC 3986
# What kubectl makes of the bare 503 that upstream answers with.
UNAVAILABLE = "the server is currently unable to handle the request"


async def serve(
    core: Core, client: aiohttp.ClientSession, exchange: Exchange, user: User, backend: Backend
) -> None:
    """Passes the request on, and the answer back as it comes. Raises 503 before an answer began."""
    import aiohttp

    if not backend.available:
        raise unavailable(UNAVAILABLE)
    body = await exchange.body() if exchange.method not in ("GET", "HEAD", "OPTIONS") else None
    target = _target(exchange.path, exchange.scope["query_string"].decode("latin-1"))
    try:
        options = {**backend.options(user), "headers": _headers(exchange, user)}
        url = backend.url(backend.endpoint(core), target)
        async with client.request(
            exchange.method, url, data=body, auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"), **options,
        ) as response:  # fmt: skip
            if 300 <= response.status < 400 and response.headers.get("Location"):
                text = "the backend attempted to redirect this request, which is not permitted"
                raise StatusError(502, "", text)
            await exchange.while_connected(pass_back(exchange, response))
    except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
        if exchange.started:
            raise ConnectionError(str(error)) from error
        raise unavailable(f"error trying to reach service: {error or 'timed out'}") from None


def route(core: Core, backend: Backend, path: str, query: str, user: User) -> Route:
    """Raises 503."""
    if not backend.available:
        raise unavailable(UNAVAILABLE)
    return Route(
        backend.endpoint(core), _target(path, query), backend.context,
        name=backend.remote.server_name, headers=tuple(identity(user)),
    )  # fmt: skip


def _target(path: str, query: str) -> str:
    quoted = quote(path, safe=_PATH)
    return f"{quoted}?{query}" if query else quoted


def _headers(exchange: Exchange, user: User) -> list[tuple[str, str]]:
    """Whatever the client said about who it is stays here."""
    kept = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in forwarded(exchange.scope["headers"])
    ]
    return [*kept, *identity(user)]
