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
from podium.netd.noderoutes import NodeRoutes
from podium.netd.podnet import PodNetwork
from podium.netd.policies.enforcer import PolicyEnforcer
from podium.netd.services.proxy import BY_SERVICE, ServiceProxy, slices_by_service
from podium.netd.services.withdrawal import Withdrawal

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
        self._routes = NodeRoutes(
            config, self._nodes, near=self._proxy.set_near, mtu_changed=self._mtu_changed
        )
        self._nodes.add_handler(self._proxy.node_changed)
        self._pod_cidr = ""
        self._ranged = asyncio.Event()
        self._mtu = 0
        self._admission = asyncio.Event()
        self.policies = PolicyEnforcer(config, self._nft, client)
        tables = (config.table, config.policy_table)
        self._watch = NftWatch(tables, lost=self._lost, foreign=self._admission.set)
        self._tasks: list[asyncio.Task[None]] = []
        withdrawal = Withdrawal(
            self._slices, applied=self._proxy.settled, others=lambda: len(self._nodes.list()) > 1
        )
        self.pods = PodNetwork(config, self._proxy.set_host_ports, withdrawal.wait, self.policies)

    async def start(self) -> None:
        """Sets the host up, in the order in which nothing leaks; waits until the node has a pod range."""
        await asyncio.to_thread(host.claim_ranges, self._config)
        self._spawn(self._nodes.run())
        self._nodes.add_handler(self._node_changed)
        await self._ranged.wait()
        await self._nodes.synced()
        await self._set_up_bridge()
        await self._proxy.install()
        await asyncio.to_thread(host.admit, self._config)
        await self.pods.open(self._pod_cidr)
        log.info("pods of this node live in %s", self._pod_cidr)

    async def run(self) -> None:
        """Until cancelled. Ends with the error of the first part that fails."""
        parts = (
            self._services.run(),
            self._slices.run(),
            self._proxy.run(),
            self._dns.run(),
            self._routes.run(),
            self.policies.run(),
            self._watch.run(),
            self._keep_admitted(),
            self._follow_range(),
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
        await self.policies.settled()

    async def close(self) -> None:
        """Ends what `start` and `run` began; leaves the kernel as it is."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._nft.close()

    def _spawn(self, part: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(part))

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None or new["metadata"]["name"] != self._config.node_name:
            return
        cidr = (new.get("spec") or {}).get("podCIDR")
        if cidr and cidr != self._pod_cidr:
            self._pod_cidr = cidr
            self._ranged.set()

    async def _set_up_bridge(self) -> None:
        self._ranged.clear()
        mtu = await self._routes.open(self._pod_cidr)
        self._mtu = await asyncio.to_thread(host.set_up_bridge, self._config, self._pod_cidr, mtu)

    async def _follow_range(self) -> None:
        """A Node that was deleted and comes back may be given another range: new pods get addresses of it,
        those that are there keep theirs and their gateway."""
        while True:
            await self._ranged.wait()
            await self._set_up_bridge()
            await self.pods.open(self._pod_cidr)
            log.info("new pods of this node live in %s", self._pod_cidr)

    def _lost(self, table: str) -> None:
        (self._proxy if table == self._config.table else self.policies).rewrite()

    def _mtu_changed(self, mtu: int) -> None:
        """It only falls while the daemon lives: pods that have the smaller one could no longer be given what
        a wider bridge takes."""
        # A tunnel that came is something to admit.
        self._admission.set()
        if mtu < self._mtu:
            self._mtu = mtu
            self.pods.set_mtu(mtu)
            self._spawn(self._narrow(mtu))

    async def _narrow(self, mtu: int) -> None:
        try:
            await asyncio.to_thread(host.narrow_bridge, self._config, mtu)
        except OSError as error:
            # The next start sets it; until then large packets of pods that are there are lost.
            log.error("cannot make the bridge's MTU %d: %s", mtu, error)

    async def _keep_admitted(self) -> None:
        while True:
            await self._admission.wait()
            self._admission.clear()
            try:
                await asyncio.to_thread(host.admit, self._config)
            except NftError as error:
                # Chains come and go while a firewall is reloaded; its next change is the next occasion.
                log.warning("cannot change a firewall that somebody else made: %s", error)
