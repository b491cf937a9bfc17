"""An extension API server as small as can be: flunders in memory, over TLS, for whoever the front proxy says
asks."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from podium.api import pki
from podium.api.types import Obj
from tests.unit.api.http.harness import DEFAULT, Http

GROUP, VERSION = "wardle.example.com", "v1alpha1"
API = f"/apis/{GROUP}/{VERSION}"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = f"{VERSION}.{GROUP}"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {
            "name": "flunders",
            "singularName": "flunder",
            "namespaced": True,
            "kind": "Flunder",
            "verbs": ["create", "delete", "get", "list", "watch"],
            "shortNames": ["fl"],
        },
        {
            "name": "flunders/status",
            "singularName": "",
            "namespaced": True,
            "kind": "Flunder",
            "verbs": ["get", "patch", "update"],
        },
    ],
}
SCHEMA: Obj = {"openapi": "3.0.0", "info": {"title": "wardle", "version": "0"}, "paths": {}}

FLUNDER = "com.example.wardle.Flunder"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
SCHEMA_V2: Obj = {
    "swagger": "2.0",
    "info": {"title": "wardle", "version": "0"},
    "paths": {
        f"{API}/flunders": {
            "get": {
                "responses": {"200": {"description": "OK", "schema": {"$ref": f"#/definitions/{FLUNDER}"}}}
            }
        },
        "/api/v1/pods": {"get": {"description": "not its own", "responses": {}}},
    },
    "definitions": {
        FLUNDER: {
            "type": "object",
            "properties": {"metadata": {"$ref": f"#/definitions/{META}"}},
            "x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": "Flunder"}],
        },
        META: {"type": "object", "description": "another one"},
        "unused": {"type": "string"},
    },
}


class Sample:
    """Trusts `front`, the CA (PEM) that the server publishes for its front proxy, as an extension API server
    does. `headers` are those of every request; `answers` are further paths of which it answers a GET."""

    def __init__(self, front: str, folder: Path, name: str = "sample-api.default.svc") -> None:
        self._front = front
        self._authority = pki.ensure_ca(folder, "wardle-ca", "wardle")
        self._pair = pki.issue_server(self._authority, folder, "wardle", [name])
        self._folder = folder
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.flunders: dict[str, Obj] = {}
        self.headers: list[Any] = []
        self.redirect = ""
        self.group, self.version = GROUP, VERSION
        self.answers: dict[str, Obj] = {}

    async def start(self, host: str = "127.0.0.1") -> None:
        """Listens."""
        front = self._folder / "front.crt"
        front.write_text(self._front)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(front))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self._pair.cert, self._pair.key)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def register(self, http: Http, **spec: Any) -> None:
        """Puts a Service before it, and its API into the server."""
        service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": self.port}]}
        await http.made(f"{DEFAULT}/services", {"metadata": {"name": "sample-api"}, "spec": service})
        await http.made(SERVICES, self.api_service(**spec))

    def api_service(self, **spec: Any) -> Obj:
        bundle = base64.b64encode(self._authority.pem).decode()
        reference = spec.pop("service", {"namespace": "default", "name": "sample-api", "port": self.port})
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{self.version}.{self.group}"},
            "spec": {
                "group": self.group, "version": self.version, "groupPriorityMinimum": 2000,
                "versionPriority": 200, "service": reference, "caBundle": bundle, **spec,
            },
        }  # fmt: skip

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peercert") if request.transport else None
        assert peer is not None
        assert ("commonName", "front-proxy-client") in [pair for part in peer["subject"] for pair in part]
        self.headers.append(request.headers)
        if self.redirect:
            raise web.HTTPFound(self.redirect)
        if request.path in self.answers:
            return web.json_response(self.answers[request.path])
        if request.path == f"/apis/{self.group}/{self.version}" != API:
            return web.json_response(
                {**RESOURCES, "groupVersion": f"{self.group}/{self.version}", "resources": []}
            )
        flunders = f"{API}/namespaces/default/flunders"
        match (request.method, request.path):
            case ("GET", path) if path == API:
                return web.json_response(RESOURCES)
            case ("GET", "/openapi/v3"):
                url = f"/openapi/v3{API}?hash=1"
                return web.json_response({"paths": {API[1:]: {"serverRelativeURL": url}}})
            case ("GET", "/openapi/v2"):
                return web.json_response(SCHEMA_V2)
            case ("GET", path) if path == f"/openapi/v3{API}":
                return web.json_response(SCHEMA)
            case ("GET", path) if path == f"{flunders}/echo/shell":
                return await self._echo(request)
            case ("GET", path) if path == flunders and request.query.get("watch"):
                return await self._watch(request)
            case ("GET", path) if path == flunders:
                return web.json_response({"kind": "FlunderList", "items": list(self.flunders.values())})
            case ("POST", path) if path == flunders:
                flunder = await request.json()
                self.flunders[flunder["metadata"]["name"]] = flunder
                return web.json_response(flunder, status=201)
            case ("DELETE", path) if path.rpartition("/")[2] in self.flunders:
                del self.flunders[path.rpartition("/")[2]]
                return web.json_response({"kind": "Status", "status": "Success"})
        return web.json_response({"kind": "Status", "code": 404, "message": "no such thing"}, status=404)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """One event, and then nothing for ever."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{"kind":"Flunder","metadata":{"name":"first"}}}\n')
        await asyncio.get_running_loop().create_future()
        return response

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"{request.headers['X-Remote-User']}: {message.data}")
        return socket
