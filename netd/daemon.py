"""The network of one node, put together: host, pods, services, names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from podium.api.types import Obj
from podium.api.types.resources import ENDPOINT_SLICES, NODES, SERVICES
from podium.client.base import Client
from podium.client.informer import Informer
from podium.netd import host
from podium.netd.config import NetConfig
from podium.netd.dns.daemon import ClusterDns
from podium.netd.nft import Nft, NftError
from podium.netd.nftwatch import NftWatch
from podium.netd.podnet import PodNetwork
from podium.netd.routes import NodeRoutes
from podium.netd.services.proxy import BY_SERVICE, ServiceProxy, slices_by_service

log = logging.getLogger(__name__)

__all__ = ["NetConfig", "Netd"]


class Netd:
    """One per node. `start` brings the node so far that pods can be connected; `run` keeps services, names
    and routes up to date until it is cancelled. What is in the kernel outlives both: traffic goes on while
    the daemon is away."""

    def __init__(self, config: NetConfig, client: Client) -> None:
        self._config = config
        self._nft = Nft()
        self._services = Informer(client, SERVICES)
        self._slices = Informer(client, ENDPOINT_SLICES, indexers={BY_SERVICE: slices_by_service})
        self._nodes = Informer(client, NODES)
        self._proxy = ServiceProxy(config, self._nft, self._services, self._slices)
        self._dns = ClusterDns(config, self._services, self._slices)
        self._routes = NodeRoutes(config, self._nodes)
        self._admission = asyncio.Event()
        self._watch = NftWatch(config.table, lost=self._proxy.rewrite, foreign=self._admission.set)
        self._tasks: list[asyncio.Task[None]] = []
        self.pods = PodNetwork(config, self._proxy.set_host_ports)

    async def start(self) -> None:
        """Sets the host up, in the order in which nothing leaks; waits until the node has a pod range."""
        await asyncio.to_thread(host.claim_ranges, self._config)
        self._spawn(self._nodes.run())
        pod_cidr = await self._pod_cidr()
        await asyncio.to_thread(host.set_up_bridge, self._config, pod_cidr)
        await self._proxy.install()
        await asyncio.to_thread(host.admit, self._config)
        await self.pods.open(pod_cidr)
        log.info("pods of this node live in %s", pod_cidr)

    async def run(self) -> None:
        """Until cancelled. Ends with the error of the first part that fails."""
        parts = (
            self._services.run(),
            self._slices.run(),
            self._proxy.run(),
            self._dns.run(),
            self._routes.run(),
            self._watch.run(),
            self._keep_admitted(),
        )
        for part in parts:
            self._spawn(part)
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self.close()

    async def ready(self) -> None:
        """Waits until services and names that were there at the start are served."""
        await self._proxy.settled()
        await self._dns.ready()

    async def close(self) -> None:
        """Ends what `start` and `run` began; leaves the kernel as it is."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._nft.close()

    def _spawn(self, part: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(part))

    async def _pod_cidr(self) -> str:
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def look(old: Obj | None, new: Obj | None) -> None:
            if new is None or new["metadata"]["name"] != self._config.node_name or found.done():
                return
            cidr = (new.get("spec") or {}).get("podCIDR")
            if cidr:
                found.set_result(cidr)

        self._nodes.add_handler(look)
        return await found

    async def _keep_admitted(self) -> None:
        while True:
            await self._admission.wait()
            self._admission.clear()
            try:
                await asyncio.to_thread(host.admit, self._config)
            except NftError as error:
                # Chains come and go while a firewall is reloaded; its next change is the next occasion.
                log.warning("cannot change a firewall that somebody else made: %s", error)
