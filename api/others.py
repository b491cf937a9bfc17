"""Everything that is no resource: versions, health, metrics, discovery, OpenAPI. None of it is on the hot
path."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from podium.api import negotiation, zpages
from podium.api.aggregation import Aggregator
from podium.api.auth.tokens import Tokens
from podium.api.auth.users import SYSTEM
from podium.api.discovery import AGGREGATED_TYPE, Discovery
from podium.api.health import ENDPOINTS, Health
from podium.api.kinds import Kinds
from podium.api.metrics import MEDIA_TYPE, Collect, Metrics, expose, of_server
from podium.api.schema.openapi import Document, Documents, gnostic
from podium.api.store.base import Store
from podium.api.types import Obj
from podium.api.types.errors import StatusError, method_not_allowed, no_such_path, not_acceptable

GIT_VERSION = "v1.36.0+podium"
# What there is emulated, and what there is to be seen.
VERSION = "1.36"
PATHS = (
    "/api", "/apis", "/flagz", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz",
    "/statusz", "/version",
)  # fmt: skip
JSON = "application/json"
# Of what a client may ask for, the Content-Type that it gets.
_V3_TYPES = dict.fromkeys((JSON, "*/*", "application/*"), JSON)
_V2_TYPES = _V3_TYPES | dict.fromkeys((gnostic.REQUESTED, gnostic.MEDIA_TYPE), gnostic.MEDIA_TYPE)

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def version() -> Obj:
    """apimachinery's version.Info. Clients parse gitVersion as a semantic version."""
    machine = platform.machine()
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-11-20T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{MACHINES.get(machine, machine)}",
    }


class Served(NamedTuple):
    """What the documents are about. `collectors` have more numbers to show."""

    store: Store
    kinds: Kinds
    tokens: Tokens
    discovery: Discovery
    metrics: Metrics
    openapi: Documents
    aggregator: Aggregator
    health: Health
    collectors: Sequence[Collect]
    flags: Mapping[str, str]
    clock: Callable[[], datetime]


class Others:
    """The endpoints."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._started = served.clock()

    def application(self) -> Starlette:
        routes = [
            Route("/version", self.version),
            Route("/version/", self.version),
            *(
                Route(f"/{endpoint}{rest}", self.health)
                for endpoint in ENDPOINTS
                for rest in ("", "/", "/{check:path}")
            ),
            Route("/metrics", self.metrics),
            Route("/statusz", self.status),
            Route("/flagz", self.flags),
            Route("/openapi/v2", self.openapi_v2),
            Route("/openapi/v3", self.openapi_v3_index),
            Route("/openapi/v3/{path:path}", self.openapi_v3),
            Route("/.well-known/openid-configuration", self.openid),
            Route("/openid/v1/jwks", self.key_set),
            Route("/", self.index),
            Route("/{path:path}", self.discovery),
        ]
        handlers = {StatusError: _failed, HTTPException: _refused}
        return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]

    async def version(self, request: Request) -> Response:
        return _json(version())

    async def health(self, request: Request) -> Response:
        health, query = self._served.health, request.query_params
        endpoint = request.url.path.split("/")[1]
        name = request.path_params.get("check", "")
        if name:
            report = health.single(endpoint, name)
            if report is None:
                raise no_such_path()
        else:
            report = health.report(endpoint, query.getlist("exclude"), verbose="verbose" in query)
        headers = {"cache-control": "no-cache, private", "x-content-type-options": "nosniff"}
        return PlainTextResponse(report.text, report.code, headers)

    async def metrics(self, request: Request) -> Response:
        served = self._served
        own = of_server(served.store, served.kinds, version())
        families = [*served.metrics.families(), *own]
        for collect in served.collectors:
            families += collect()
        return Response(await asyncio.to_thread(expose, families), media_type=MEDIA_TYPE)

    async def status(self, request: Request) -> Response:
        now, accept = self._served.clock(), request.headers.get("accept", "")
        return _page(zpages.status(accept, self._started, now, VERSION, PATHS))

    async def flags(self, request: Request) -> Response:
        return _page(zpages.flags(request.headers.get("accept", ""), self._served.flags))

    async def openapi_v2(self, request: Request) -> Response:
        """Content-Type and document by the first entry of Accept that there is."""
        openapi = self._served.openapi
        media_type = _accepted(request, _V2_TYPES)
        openapi.join(self._served.aggregator.schemas())
        make = openapi.v2 if media_type == JSON else openapi.v2_protobuf
        return _document(request, await asyncio.to_thread(make), media_type)

    async def openapi_v3_index(self, request: Request) -> Response:
        more = self._served.aggregator.schema_hashes()
        index = await asyncio.to_thread(self._served.openapi.v3_index, more)
        return Response(index, media_type=JSON)

    async def openapi_v3(self, request: Request) -> Response:
        path = request.path_params["path"].rstrip("/")
        media_type = _accepted(request, _V3_TYPES)
        document = await asyncio.to_thread(self._served.openapi.v3, path)
        if document is None:
            theirs = await self._served.aggregator.openapi(path, SYSTEM)
            if theirs is None:
                raise no_such_path()
            return Response(theirs, media_type=media_type)
        return _document(request, document, media_type)

    async def openid(self, request: Request) -> Response:
        return _cached(self._served.tokens.openid_configuration())

    async def key_set(self, request: Request) -> Response:
        return _cached(self._served.tokens.key_set(), "application/jwk-set+json")

    async def index(self, request: Request) -> Response:
        return _json({"paths": list(PATHS)})

    async def discovery(self, request: Request) -> Response:
        discovery, path = self._served.discovery, request.url.path
        document = discovery.aggregated(path, request.headers.get("accept", ""))
        if document is not None:
            headers = {"etag": document.etag, "vary": "accept", "cache-control": "public"}
            if request.headers.get("if-none-match") == document.etag:
                return Response(status_code=304, headers=headers)
            return Response(document.body, media_type=AGGREGATED_TYPE.decode(), headers=headers)
        body = discovery.find(path)
        if body is None:
            raise no_such_path()
        return Response(body, media_type=JSON, headers={"vary": "accept"})


def _page(page: zpages.Page) -> Response:
    headers = {"warning": page.warning} if page.warning else {}
    return Response(page.body, media_type=page.media_type, headers=headers)


def _json(obj: Obj, media_type: str = JSON) -> Response:
    return Response(orjson.dumps(obj), media_type=media_type)


def _cached(obj: Obj, media_type: str = JSON) -> Response:
    response = _json(obj, media_type)
    response.headers["cache-control"] = "public, max-age=3600"
    return response


def _accepted(request: Request, types: dict[str, str]) -> str:
    """The Content-Type for what the client would rather have. Raises 406."""
    accept = request.headers.get("accept", "")
    if not accept:
        return JSON
    for entry in negotiation.ranges(accept):
        if entry.type in types:
            return types[entry.type]
    known = ", ".join(dict.fromkeys(types.values()))
    raise not_acceptable(f"only the following media types are accepted: {known}")


def _document(request: Request, document: Document, media_type: str) -> Response:
    headers = {"etag": f'"{document.etag}"', "vary": "accept, accept-encoding", "cache-control": "public"}
    if request.headers.get("if-none-match", "").strip('"') == document.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        compressed = {**headers, "content-encoding": "gzip"}
        return Response(document.compressed, media_type=media_type, headers=compressed)
    return Response(document.body(), media_type=media_type, headers=headers)


async def _failed(request: Request, error: StatusError) -> Response:
    return Response(orjson.dumps(error.status()), error.code, media_type=JSON)


async def _refused(request: Request, error: HTTPException) -> Response:
    return await _failed(request, method_not_allowed() if error.status_code == 405 else no_such_path())
