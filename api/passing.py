"""The answer of another server, passed on to the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.api.exchange import Exchange, Header
from podium.api.forwarding import HOP_BY_HOP
from podium.api.links import MAX_PAGE, is_page, rewritten, through, unpacked

if TYPE_CHECKING:
    import aiohttp

_OF_THE_BODY = (b"content-length", b"content-encoding")


async def pass_back(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    """As it comes."""
    await _stream(exchange, response, _headers(response))


async def pass_site(exchange: Exchange, response: aiohttp.ClientResponse, prefix: str, origin: str) -> None:
    """As `pass_back`, of a server at `origin` that the client sees below the path `prefix`: links and
    redirections are to lead there."""
    headers = [_moved(header, prefix, origin) for header in _headers(response)]
    if exchange.method == "HEAD" or not is_page(response.headers.get("Content-Type", "")):
        await _stream(exchange, response, headers)
        return
    body = bytearray()
    while len(body) <= MAX_PAGE and (piece := await response.content.readany()):
        body += piece
    page = None
    if len(body) <= MAX_PAGE:
        page = unpacked(bytes(body), response.headers.get("Content-Encoding", ""))
    if page is None:
        await _stream(exchange, response, headers, bytes(body))
        return
    page = await asyncio.to_thread(rewritten, page, prefix, origin)
    kept = [header for header in headers if header[0].lower() not in _OF_THE_BODY]
    await exchange.answer(response.status, page, kept)


async def _stream(
    exchange: Exchange, response: aiohttp.ClientResponse, headers: list[Header], first: bytes = b""
) -> None:
    await exchange.begin(response.status, headers)
    if first:
        await exchange.write(first)
    async for piece in response.content.iter_any():
        await exchange.write(piece)
    await exchange.end()


def _headers(response: aiohttp.ClientResponse) -> list[Header]:
    return [
        (name, value) for name, value in response.raw_headers if name.lower() not in (*HOP_BY_HOP, b"date")
    ]


def _moved(header: Header, prefix: str, origin: str) -> Header:
    name, value = header
    if name.lower() != b"location":
        return header
    return name, through(value.decode("latin-1"), prefix, origin).encode("latin-1")
