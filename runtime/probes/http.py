"""One HTTP GET, as probes and hooks make it: a bare request over a connection of its own, no proxies, no
verification."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from podium.api.types import Obj

USER_AGENT = "kube-probe/1.36"
BODY_LIMIT = 10 * 1024
MAX_REDIRECTS = 10
_HEADER_LIMIT = 64 * 1024


class Answer(NamedTuple):
    status: int
    body: str
    location: str = ""
    elsewhere: bool = False
    """It redirects to another host, where probes do not go."""


class HttpFailure(Exception):
    """No answer: refused, reset, not HTTP."""


def url_of(action: Obj, container: Obj, host: str) -> str:
    """Where an httpGet action goes. Raises ValueError for a port name that the container does not have."""
    scheme = action.get("scheme", "HTTP").lower()
    address = action.get("host") or host
    if ":" in address:
        address = f"[{address}]"
    path = action.get("path") or "/"
    return (
        f"{scheme}://{address}:{port_of(action['port'], container)}{path if path[:1] == '/' else '/' + path}"
    )


def port_of(port: int | str, container: Obj) -> int:
    """A port by its number or by its name in the container. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for each in container.get("ports") or ():
        if each.get("name") == port:
            return int(each["containerPort"])
    raise ValueError(f"couldn't find port: {port} for container {container['name']}")


def headers_of(action: Obj) -> dict[str, str]:
    """The action's own headers over the default ones."""
    made = {"User-Agent": USER_AGENT, "Accept": "*/*"}
    for header in action.get("httpHeaders") or ():
        name = header["name"].title()
        made[name] = header.get("value", "")
    return {name: value for name, value in made.items() if value or name not in ("User-Agent", "Accept")}


async def get(url: str, headers: Mapping[str, str]) -> Answer:
    """Follows redirects on the same host. Raises HttpFailure, OSError."""
    host = urlsplit(url).hostname
    for _ in range(MAX_REDIRECTS):
        answer = await _get(url, headers)
        target = urljoin(url, answer.location) if answer.location else ""
        if answer.status not in (301, 302, 303, 307, 308) or not target:
            return answer
        if urlsplit(target).hostname != host:
            return answer._replace(elsewhere=True)
        url = target
    raise HttpFailure(f"stopped after {MAX_REDIRECTS} redirects")


async def _get(url: str, headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(
        parts.hostname, port, limit=_HEADER_LIMIT, ssl=_unverified() if secure else None
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {target} HTTP/1.1"]
        sent = {"Host": parts.netloc, **headers, "Connection": "close"}
        lines += [f"{name}: {value}" for name, value in sent.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return await _answer(reader)
    finally:
        writer.close()


def _unverified() -> ssl.SSLContext:
    """Probes ask whether something answers, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        raise HttpFailure("EOF" if not error.partial else "unexpected EOF") from error
    except asyncio.LimitOverrunError as error:
        raise HttpFailure("headers are too long") from error
    first, *rest = head.split("\r\n")
    words = first.split(" ", 2)
    if not first.startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
        raise HttpFailure(f'malformed HTTP response "{first[:64]}"')
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
    }
    return Answer(int(words[1]), await _body(reader, fields), fields.get("location", ""))


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> str:
    """Up to the limit; how the body is framed matters little, since the connection closes after it."""
    wanted = BODY_LIMIT
    if fields.get("content-length", "").isdigit():
        wanted = min(wanted, int(fields["content-length"]))
    kept = bytearray()
    while len(kept) < wanted and (chunk := await reader.read(wanted - len(kept))):
        kept += chunk
    return kept.decode(errors="replace")
