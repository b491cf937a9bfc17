"""The client over HTTPS: keep-alive connections, JSON bodies, watches as lines.

A dead peer is noticed by TCP itself (keep-alive probes, and a bound on unacknowledged data), so that a watch
over a network that was cut ends within half a minute although the server may legitimately be silent for
longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import Resource
from podium.client import kubeconfig
from podium.client.base import JsonPatch, ObjList, PatchType, WatchEvent
from podium.client.kubeconfig import Connection
from podium.client.meters import RequestMeter
from podium.client.tls import client_context

CONNECT_TIMEOUT = 5.0  # seconds
REQUEST_TIMEOUT = 60.0
WATCH_SECONDS = (300, 600)  # a watch's length is taken at random from here, so that many do not end at once
WATCH_IDLE = 90.0  # seconds of silence beyond a watch's length before it is given up
PAGE = 500  # items per list request: decoding more at once would hold the event loop
MAX_THROTTLED = 10  # answers of 429 before one is reported

_PATCH_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
Params = dict[str, str]


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[0], address[1], address[2]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return made


class HttpsClient:
    """Requests over HTTPS with a client certificate or a bearer token. Open until `close`; belongs to one
    event loop.

    `field_manager` names the writer in managedFields and is required by server-side apply."""

    def __init__(self, connection: Connection, *, field_manager: str = "podium") -> None:
        self.connection = connection
        self._base = connection.server.rstrip("/")
        self._manager = field_manager
        self._host = urlsplit(connection.server).netloc
        self.meter = RequestMeter()
        self._tls: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(
        cls, source: str | os.PathLike[str] | Obj, context: str = "", *, field_manager: str = "podium"
    ) -> HttpsClient:
        """From a kubeconfig file, or its content."""
        if isinstance(source, Mapping):
            return cls(kubeconfig.connection(dict(source), context), field_manager=field_manager)
        return cls(kubeconfig.read(source, context), field_manager=field_manager)

    def _open(self) -> aiohttp.ClientSession:
        """Made on first use: aiohttp binds a session to the running loop."""
        if self._session is None:
            self._tls = client_context(self.connection) if self._base.startswith("https:") else None
            headers = {"User-Agent": self._manager, "Accept": "application/json"}
            if self.connection.token:
                headers["Authorization"] = f"Bearer {self.connection.token}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls or False, limit=0, keepalive_timeout=60, socket_factory=_socket
                ),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
                auto_decompress=True,
            )
        return self._session

    async def renew(self, connection: Connection) -> None:
        """Goes on as `connection` says, with another certificate for instance. Requests that are under way
        end with ConnectionError; watches are begun again by whoever keeps them."""
        self.connection = connection
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        params: Params,
        body: bytes | None,
        content_type: str,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response of success. Raises StatusError for any other, ConnectionError when there is none."""
        options: dict[str, Any] = {"timeout": limits} if limits else {}
        if self.connection.server_name:
            options["server_hostname"] = self.connection.server_name
        headers = {"Content-Type": content_type} if body is not None else None
        began, code = time.monotonic(), None
        try:
            async with self._open().request(
                method, self._base + path, params=params, data=body, headers=headers, **options
            ) as response:
                code = response.status
                self.meter.done(method, self._host, code, time.monotonic() - began)
                if response.status >= 400:
                    raise _error(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
            if code is None:
                self.meter.done(method, self._host, None, time.monotonic() - began)
            reason = str(error) or type(error).__name__
            raise ConnectionError(f"{method} {self._base}{path}: {reason}") from error

    async def raw(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """The body of any path, e.g. `/readyz`. Waits and tries again while the server answers 429."""
        for _ in range(MAX_THROTTLED):
            try:
                async with self._request(method, path, params or {}, body, content_type) as response:
                    return await response.read()
            except StatusError as error:
                if error.code != 429 or not (error.details or {}).get("retryAfterSeconds"):
                    raise
                throttled = error
            await asyncio.sleep(float((throttled.details or {})["retryAfterSeconds"]))
        raise throttled

    async def _object(
        self, method: str, path: str, params: Params | None = None, body: Any = None, **named: str
    ) -> Obj:
        data = orjson.dumps(body) if body is not None else None
        answer: Obj = orjson.loads(await self.raw(method, path, params, data, **named))
        return answer

    def _writer(self, **more: str) -> Params:
        return {"fieldManager": self._manager, **more}

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return await self._object("GET", resource.path(namespace, name))

    async def read(self, path: str) -> Obj:
        found: Obj = orjson.loads(await self.raw("GET", path))
        return found

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjList:
        params = {**_selectors(labels, fields), "limit": str(PAGE)}
        try:
            return await self._pages(resource, namespace, params)
        except StatusError as error:
            if error.code != 410:
                raise
        del params["limit"]
        return await self._pages(resource, namespace, params)

    async def _pages(self, resource: Resource, namespace: str, params: Params) -> ObjList:
        items: list[Obj] = []
        path = resource.path(namespace)
        page = await self._object("GET", path, params)
        while True:
            for item in page.get("items") or ():
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
                items.append(item)
            token = page["metadata"].get("continue")
            if not token:
                return ObjList(items, page["metadata"].get("resourceVersion", ""))
            page = await self._object("GET", path, {**params, "continue": token})

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        space = namespace or (obj.get("metadata") or {}).get("namespace", "")
        return await self._object("POST", resource.path(space, name, subresource), self._writer(), obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        path = resource.path(meta.get("namespace", ""), meta["name"], subresource)
        return await self._object("PUT", path, self._writer(), obj)

    async def patch(
        self, resource: Resource, name: str, patch: Obj | JsonPatch, namespace: str = "",
        *, kind: PatchType = "merge", subresource: str = "",
    ) -> Obj:  # fmt: skip
        params = self._writer(force="true") if kind == "apply" else self._writer()
        path = resource.path(namespace, name, subresource)
        return await self._object("PATCH", path, params, patch, content_type=_PATCH_TYPES[kind])

    async def delete(
        self, resource: Resource, name: str, namespace: str = "", *, grace_seconds: int | None = None,
        uid: str = "", resource_version: str = "", propagation: str = "",
    ) -> None:  # fmt: skip
        options = delete_options(grace_seconds, uid, resource_version, propagation)
        await self.raw("DELETE", resource.path(namespace, name), None, orjson.dumps(options))

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, labels: str = "",
        fields: str = "", bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:  # fmt: skip
        seconds = random.randint(*WATCH_SECONDS)
        params = _selectors(labels, fields)
        params |= {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": str(seconds)}
        if bookmarks:
            params["allowWatchBookmarks"] = "true"
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT, sock_read=seconds + WATCH_IDLE
        )
        async with self._request("GET", resource.path(namespace), params, None, "", timeout) as response:
            async for line in lines(response.content.iter_any()):
                yield _event(orjson.loads(line))


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines out of a stream in pieces; an unfinished last one, cut off by the connection's end, is
    dropped."""
    rest = b""
    async for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
            continue
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line


def _event(message: Obj) -> WatchEvent:
    if message["type"] == "ERROR":
        raise StatusError.from_status(message["object"])
    return WatchEvent(message["type"], message["object"])


def _selectors(labels: str, fields: str) -> Params:
    pairs = (("labelSelector", labels), ("fieldSelector", fields))
    return {name: value for name, value in pairs if value}


def delete_options(grace_seconds: int | None, uid: str, resource_version: str, propagation: str) -> Obj:
    """The meta/v1 DeleteOptions of a delete."""
    options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    pairs = (("uid", uid), ("resourceVersion", resource_version))
    if preconditions := {name: value for name, value in pairs if value}:
        options["preconditions"] = preconditions
    if propagation:
        options["propagationPolicy"] = propagation
    return options


def _error(response: aiohttp.ClientResponse, body: bytes) -> StatusError:
    """The server's own Status, or one made up for an answer that holds none (a proxy's, a crashed
    server's)."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        error = StatusError.from_status({"code": response.status, **status})
    else:
        text = body.decode(errors="replace").strip()[:1000] or (response.reason or "unknown error")
        error = StatusError(response.status, _REASONS.get(response.status, ""), text)
    if response.status == 429 and (seconds := response.headers.get("Retry-After", "")).isdigit():
        error.details = {"retryAfterSeconds": int(seconds), **(error.details or {})}
    return error


_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 429: "TooManyRequests"}
