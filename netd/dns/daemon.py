"""Cluster DNS of one node: the zone over the informers, listening on the cluster's DNS address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from podium.api.types import Obj
from podium.client.informer import Informer
from podium.netd.config import NetConfig
from podium.netd.dns.forward import Forwarder, ResolvConf, server_of
from podium.netd.dns.server import Resolver, TcpServer, UdpServer
from podium.netd.dns.zone import Zone
from podium.netd.services.proxy import BY_SERVICE

log = logging.getLogger(__name__)

BY_ADDRESS = "address"
PORT = 53
RETRY_SECONDS = 5.0


class InformedCluster:
    """`zone.Cluster` over the informers."""

    def __init__(self, services: Informer, slices: Informer) -> None:
        self._services, self._slices = services, slices
        services.add_indexer(BY_ADDRESS, lambda service: (service.get("spec") or {}).get("clusterIPs") or ())
        slices.add_indexer(BY_ADDRESS, _addresses)

    def service(self, namespace: str, name: str) -> Obj | None:
        return self._services.get(name, namespace)

    def slices(self, namespace: str, service: str) -> Iterable[Obj]:
        return self._slices.by_index(BY_SERVICE, f"{namespace}/{service}")

    def has_namespace(self, namespace: str) -> bool:
        return bool(self._services.list(namespace))

    def services_at(self, ip: str) -> Iterable[Obj]:
        return self._services.by_index(BY_ADDRESS, ip)

    def slices_at(self, ip: str) -> Iterable[Obj]:
        return self._slices.by_index(BY_ADDRESS, ip)


def _addresses(slice_: Obj) -> list[str]:
    return [ip for endpoint in slice_.get("endpoints") or () for ip in endpoint.get("addresses") or ()]


class ClusterDns:
    """One per node; the same address everywhere, always answered by the node itself."""

    def __init__(self, config: NetConfig, services: Informer, slices: Informer, *, port: int = PORT) -> None:
        self._address, self._port = config.dns_address, port
        self._informers = services, slices
        upstream = config.upstream_dns
        servers = [server_of(text) for text in upstream or ()]
        read = ResolvConf(config.resolv_conf, config.dns_address)
        self._forwarder = Forwarder(read if upstream is None else lambda: servers)
        zone = Zone(
            config.cluster_domain,
            (config.cluster_cidr, config.service_cidr),
            InformedCluster(services, slices),
        )
        self._resolver = Resolver(zone, self._forwarder)
        self._ready = asyncio.Event()
        for informer in self._informers:
            informer.add_handler(lambda old, new: self._resolver.forget())

    async def ready(self) -> None:
        """Waits until questions are answered."""
        await self._ready.wait()

    async def run(self) -> None:
        """Answers until cancelled. Nothing is answered before the cluster is known: a wrong "no such name" is
        kept by clients."""
        for informer in self._informers:
            await informer.synced()
        while True:
            try:
                await self._serve()
            except OSError as error:
                # Some other resolver has the port on every address, or somebody took our address away.
                log.error("cannot answer on %s port %d: %s", self._address, self._port, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(
            lambda: UdpServer(self._resolver), local_addr=(self._address, self._port)
        )
        try:
            tcp = await asyncio.start_server(TcpServer(self._resolver).serve, self._address, self._port)
            async with tcp:
                self._ready.set()
                await tcp.serve_forever()
        finally:
            udp.close()
