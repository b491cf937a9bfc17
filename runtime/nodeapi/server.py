"""The node's TLS server: the kubelet's paths, for the API server and administrators."""

from __future__ import annotations

import asyncio
import glob
import logging
import shutil
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from podium.runtime.nodeapi.containerlogs import ContainerLogs
from podium.runtime.nodeapi.execute import EXEC_PREFIX
from podium.runtime.nodeapi.guard import Guard
from podium.runtime.nodeapi.health import Health
from podium.runtime.nodeapi.inspection import Inspection
from podium.runtime.nodeapi.interfaces import Node, NodeApiConfig
from podium.runtime.nodeapi.portforward import PortForwards
from podium.runtime.nodeapi.remote import RemoteCommands

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NodeServer:
    """Listens from `start` to `stop`. `stop` ends every stream; execs are killed with their clients gone."""

    def __init__(self, node: Node) -> None:
        self._config = node.config
        self._runner = web.AppRunner(
            application(node), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
        )
        self._context: ssl.SSLContext | None = None
        self.port = node.config.port

    async def start(self) -> None:
        """Raises OSError when the address is taken, ssl.SSLError when a certificate is unusable."""
        await asyncio.to_thread(_remove_leftovers, self._config.run_dir)
        await self._runner.setup()
        self._context = server_context(self._config)
        site = web.TCPSite(self._runner, self._config.host, self._config.port, ssl_context=self._context)
        await site.start()
        # A port of 0 was replaced by one that was free.
        self.port = self._runner.addresses[0][1]
        log.info("node API listens on %s:%s", self._config.host, self.port)

    def renew(self) -> None:
        """Shows the certificate that the files hold now, to whoever connects from now on."""
        if self._context is not None:
            self._context.load_cert_chain(self._config.certificate, self._config.key)

    async def stop(self) -> None:
        await self._runner.cleanup()


def _remove_leftovers(run_dir: str) -> None:
    """FIFOs of execs whose daemon was killed."""
    for directory in glob.glob(f"{run_dir}/{EXEC_PREFIX}*"):
        shutil.rmtree(directory, ignore_errors=True)


def server_context(config: NodeApiConfig) -> ssl.SSLContext:
    """TLS 1.2 or later, for clients with a certificate of the cluster's CA or with none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.certificate, config.key)
    context.load_verify_locations(config.client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Nobody who connects comes back with a ticket, and making one costs as much as the rest of the handshake.
    context.num_tickets = 0
    return context


def application(node: Node) -> web.Application:
    guard = Guard(node.config.node_name, node.client)

    @web.middleware
    async def only_allowed(request: web.Request, handler: Handler) -> web.StreamResponse:
        await guard.admit(request)
        return await handler(request)

    app = web.Application(middlewares=[only_allowed])
    logs, inspection, health = ContainerLogs(node), Inspection(node), Health(node.checks)
    commands, forwards = RemoteCommands(node), PortForwards(node)
    app.add_routes(
        [
            web.get("/containerLogs/{namespace}/{pod}/{container}", logs.get),
            *_upgrades("/exec/{namespace}/{pod}/{container}", commands.exec),
            *_upgrades("/exec/{namespace}/{pod}/{uid}/{container}", commands.exec),
            *_upgrades("/attach/{namespace}/{pod}/{container}", commands.attach),
            *_upgrades("/attach/{namespace}/{pod}/{uid}/{container}", commands.attach),
            *_upgrades("/portForward/{namespace}/{pod}", forwards.forward),
            *_upgrades("/portForward/{namespace}/{pod}/{uid}", forwards.forward),
            web.post("/run/{namespace}/{pod}/{container}", commands.run),
            web.post("/run/{namespace}/{pod}/{uid}/{container}", commands.run),
            web.get("/healthz", health.all),
            web.get("/healthz/{check}", health.one),
            web.get("/pods", inspection.pods),
            web.get("/pods/", inspection.pods),
            web.get("/runningpods/", inspection.running_pods),
            web.get("/configz", inspection.configz),
            web.get("/stats/summary", inspection.summary),
            web.get("/metrics", inspection.metrics),
            web.get("/metrics/cadvisor", inspection.cadvisor),
            web.get("/metrics/probes", inspection.probes),
            web.get("/metrics/resource", inspection.resource_metrics),
        ]
    )
    return app


def _upgrades(path: str, handler: Handler) -> list[web.RouteDef]:
    """Clients upgrade with GET or POST."""
    return [web.get(path, handler), web.post(path, handler)]
