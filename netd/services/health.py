"""Answers load balancers that ask a node whether it has endpoints of a Service (`spec.healthCheckNodePort`).
Source: kubernetes.io, "Preserving the client source IP"."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus

from podium.netd.services.plan import Health

log = logging.getLogger(__name__)

SECONDS = 5.0


def report(service: str, endpoints: int) -> tuple[HTTPStatus, dict[str, str], bytes]:
    """(status, headers, body) for a Service "NAMESPACE/NAME"."""
    namespace, _, name = service.partition("/")
    document = {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": True,
    }
    headers = {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": str(endpoints),
    }
    status = HTTPStatus.OK if endpoints else HTTPStatus.SERVICE_UNAVAILABLE
    return status, headers, json.dumps(document, indent="\t").encode()


class HealthChecks:
    """One listener per Service that asks for it."""

    def __init__(self) -> None:
        self._wanted: dict[str, Health] = {}
        self._servers: dict[str, tuple[int, asyncio.Server]] = {}

    def set(self, service: str, health: Health | None) -> None:
        if health is None:
            self._wanted.pop(service, None)
        else:
            self._wanted[service] = health

    async def apply(self) -> None:
        """Makes the listeners what was set; a port that somebody else has is tried again the next time."""
        for service, (port, server) in list(self._servers.items()):
            wanted = self._wanted.get(service)
            if wanted is None or wanted.port != port:
                server.close()
                del self._servers[service]
        for service, health in self._wanted.items():
            if service not in self._servers:
                await self._listen(service, health.port)

    async def _listen(self, service: str, port: int) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._answer(service, reader, writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                log.debug("a probe of service %s went away: %s", service, error)
            finally:
                writer.close()

        try:
            self._servers[service] = port, await asyncio.start_server(answer, "0.0.0.0", port)
        except OSError as error:
            log.warning("failed to start healthcheck %r on port %d: %s", service, port, error)

    async def _answer(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            health = self._wanted.get(service)
            status, headers, body = report(service, health.endpoints if health else 0)
            lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
            lines += [f"{name}: {text}" for name, text in headers.items()]
            lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()

    def close(self) -> None:
        for _, server in self._servers.values():
            server.close()
        self._servers.clear()
