"""A client that shows everything of an answer, and objects to send."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from podium.api.pki import Pair
from podium.api.server import ApiServer
from podium.api.types import Obj

CORE = "/api/v1"
DEFAULT = f"{CORE}/namespaces/default"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MERGE, JSON_PATCH, STRATEGIC = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
)


class Reply(NamedTuple):
    code: int
    obj: Any
    headers: Any
    text: str

    @property
    def message(self) -> str:
        return str(self.obj["message"])

    @property
    def reason(self) -> str:
        return str(self.obj["reason"])

    @property
    def version(self) -> str:
        return str(self.obj["metadata"]["resourceVersion"])

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.obj["items"]]


class Http:
    """Requests over TLS to one server, as the holder of `pair` (None: as nobody)."""

    def __init__(self, server: ApiServer, address: tuple[str, int], pair: Pair | None) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        if pair:
            context.load_cert_chain(pair.cert, pair.key)
        self.base = f"https://{address[0]}:{address[1]}"
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    @property
    def session(self) -> aiohttp.ClientSession:
        return self._session

    async def close(self) -> None:
        await self._session.close()

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        redirects: bool = True,
        **query: Any,
    ) -> Reply:
        data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
        sent = {} if data is None else {"Content-Type": "application/json"}
        params = {name: str(value) for name, value in query.items()}
        async with self._session.request(
            method,
            self.base + path,
            data=data,
            headers=sent | (headers or {}),
            params=params or None,
            allow_redirects=redirects,
        ) as response:
            text = await response.text(errors="replace")
            is_json = "json" in response.headers.get("Content-Type", "")
            return Reply(
                response.status, json.loads(text) if is_json and text else None, response.headers, text
            )

    async def get(self, path: str, **query: Any) -> Reply:
        return await self("GET", path, **query)

    async def post(self, path: str, body: Any, **query: Any) -> Reply:
        return await self("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Reply:
        return await self("PUT", path, body, **query)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Reply:
        return await self("PATCH", path, body, {"Content-Type": kind}, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        return await self("DELETE", path, body, **query)

    async def made(self, path: str, body: Any, **query: Any) -> Obj:
        """Creates, and it must work."""
        reply = await self.post(path, body, **query)
        assert reply.code == 201, reply.text
        obj: Obj = reply.obj
        return obj

    @asynccontextmanager
    async def watch(
        self, path: str, headers: dict[str, str] | None = None, **query: Any
    ) -> AsyncIterator[Events]:
        params = {"watch": "true", **{name: str(value) for name, value in query.items()}}
        async with self._session.get(self.base + path, params=params, headers=headers) as response:
            yield Events(response)


class Events:
    """The events of an open watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Obj:
        """Raises StopAsyncIteration at the stream's end."""
        line = await self.response.content.readline()
        if not line:
            raise StopAsyncIteration
        event: Obj = json.loads(line)
        return event

    async def take(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]

    async def rest(self) -> list[Obj]:
        """Everything until the stream's end."""
        lines = (await self.response.content.read()).splitlines()
        return [json.loads(line) for line in lines]


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Obj:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}


def pod(name: str, node: str = "", **labels: str) -> Obj:
    obj: Obj = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    }
    if node:
        obj["spec"]["nodeName"] = node
    return obj


def deployment(name: str, replicas: int = 1) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "busybox"}]},
            },
        },
    }
