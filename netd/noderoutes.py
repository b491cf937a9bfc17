"""Keeps the ways to other nodes in the kernel: routes, and the tunnel link with what it knows."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable

from podium.api.types import Obj
from podium.client.informer import Informer
from podium.netd import host, rtnl
from podium.netd.addresses import mac_of
from podium.netd.config import NetConfig
from podium.netd.linkwatch import LinkWatch
from podium.netd.routes import Way, entries, peer_of, peers_of, pod_mtu, ways

log = logging.getLogger(__name__)

# A network number that says whose it is, as `rtnl.ROUTE_PROTOCOL` does.
TUNNEL_NUMBER = 80
RETRY_SECONDS = 5.0


class NodeRoutes:
    """Follows the Nodes. What an earlier daemon left is kept where it is right, and replaced or removed where
    it is not.

    `near(addresses)` is told which nodes share a link with this one, `mtu_changed(mtu)` what pods may send
    from now on; both on the loop."""

    def __init__(
        self,
        config: NetConfig,
        nodes: Informer,
        *,
        near: Callable[[frozenset[str]], None],
        mtu_changed: Callable[[int], None],
    ) -> None:
        self._config = config
        self._nodes = nodes
        self._near, self._mtu_changed = near, mtu_changed
        self._own_cidr = ""
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        nodes.add_handler(self._changed)

    async def settled(self) -> None:
        """Waits until the routes are what the Nodes known by now ask for."""
        await self._settled.wait()

    async def open(self, own_cidr: str) -> int:
        """What pods may send, by what is known so far; `own_cidr` is this node's pod range."""
        self._own_cidr = own_cidr
        return await asyncio.to_thread(self._survey)

    def _survey(self) -> int:
        with rtnl.Rtnl() as kernel:
            found = self._ways(kernel)
            return self._mtu(kernel, found)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        """Heartbeats change nothing."""
        if old is None or new is None or peer_of(old) != peer_of(new):
            self._again()

    def _again(self) -> None:
        self._settled.clear()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(LinkWatch(self._again).run())
            await self._nodes.synced()
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._once()
                if not self._wake.is_set():
                    self._settled.set()

    async def _once(self) -> None:
        try:
            near, mtu = await asyncio.to_thread(self._apply)
        except OSError as error:
            log.warning("cannot set up the ways to other nodes: %s", error)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._again)
            return
        self._near(near)
        self._mtu_changed(mtu)

    def _ways(self, kernel: rtnl.Rtnl) -> list[Way]:
        def shares_link(address: str) -> bool:
            route = kernel.route_to(address)
            return route is not None and route.kind == rtnl.ROUTE_TYPES["unicast"] and not route.gateway

        peers = peers_of(self._nodes.list(), self._config.node_name)
        return ways(peers, self._config.mode, shares_link)

    def _mtu(self, kernel: rtnl.Rtnl, found: list[Way]) -> int:
        tunnel = self._config.mode == "vxlan" or any(way.tunnel for way in found)
        return pod_mtu(host.underlay_mtu(kernel, self._config.node_address), tunnel=tunnel)

    def _apply(self) -> tuple[frozenset[str], int]:
        """(addresses of the nodes on a link of ours, MTU of pods)."""
        with rtnl.Rtnl() as kernel:
            found = self._ways(kernel)
            mtu = self._mtu(kernel, found)
            index = self._tunnel_or_none(kernel, found, mtu)
            routed = self._routed(kernel)
            stale = routed.keys() - {way.peer.pod_cidr for way in found}
            kernel.apply(rtnl.route_delete(cidr) for cidr in stale)
            reached = [
                way
                for way in found
                if routed.get(way.peer.pod_cidr) == (way.gateway, way.tunnel and index)
                or self._add_route(kernel, way, index)
            ]
            if found:
                host.let_loopback_out(kernel, self._config)
        return frozenset(way.peer.address for way in reached if not way.tunnel), mtu

    def _tunnel_or_none(self, kernel: rtnl.Rtnl, found: list[Way], mtu: int) -> int:
        """Without a tunnel (a kernel that has none) the nodes on our links are still reached."""
        try:
            return self._tunnel(kernel, found, mtu)
        except OSError as error:
            log.error("no tunnel to the nodes on other links: %s", error)
            return 0

    def _tunnel(self, kernel: rtnl.Rtnl, found: list[Way], mtu: int) -> int:
        """Index of the tunnel link, which is there as long as it is needed; 0 without."""
        name, wanted = self._config.tunnel, entries(found)
        link = kernel.link(name)
        if link is not None and (not wanted or link.alias != self._tunnel_alias()):
            kernel.apply([rtnl.link_delete(name)])
            link = None
        if not wanted:
            return 0
        if link is None:
            link = self._add_tunnel(kernel, mtu)
        known = kernel.neighbours(link.ifindex)
        kernel.apply(rtnl.neighbour_delete(link.ifindex, entry) for entry in known - wanted)
        kernel.apply(rtnl.neighbour(link.ifindex, entry) for entry in sorted(wanted - known))
        if link.mtu != mtu:
            kernel.apply([rtnl.link_up(name, mtu=mtu)])
        return link.ifindex

    def _tunnel_alias(self) -> str:
        """Whatever cannot be changed about the link."""
        return f"podium-tunnel {self._config.node_address} {self._own_cidr}"

    def _add_tunnel(self, kernel: rtnl.Rtnl, mtu: int) -> rtnl.Link:
        name, address = self._config.tunnel, self._config.node_address
        kernel.apply(
            [
                rtnl.vxlan(
                    name,
                    mac=mac_of(address),
                    number=TUNNEL_NUMBER,
                    port=host.TUNNEL_PORT,
                    local=address,
                    mtu=mtu,
                )
            ]
        )
        host.set_sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")
        link = kernel.link(name)
        if link is None:
            raise OSError(f"tunnel link {name} vanished")
        # What the node itself sends comes from its gateway's address, so that the answer comes back this way.
        kernel.apply(
            [
                rtnl.address(link.ifindex, host.gateway_of(self._own_cidr), 32),
                rtnl.link_up(name, alias=self._tunnel_alias()),
            ]
        )
        return link

    def _add_route(self, kernel: rtnl.Rtnl, way: Way, tunnel: int) -> bool:
        """Whether there is a way now."""
        if way.tunnel and not tunnel:
            return False
        if way.tunnel:
            source = host.gateway_of(self._own_cidr)
            route = rtnl.route(way.peer.pod_cidr, oif=tunnel, gateway=way.gateway, source=source, onlink=True)
        else:
            route = rtnl.route(way.peer.pod_cidr, gateway=way.gateway)
        try:
            kernel.apply([route])
        except OSError as error:
            log.warning("no way to the pods of node %s: %s", way.peer.name, error)
            return False
        return True

    def _routed(self, kernel: rtnl.Rtnl) -> dict[str, tuple[str, int]]:
        """Pod ranges that are routed by way of another node: (next hop, index of the tunnel link or 0)."""
        pods = ipaddress.IPv4Network(self._config.cluster_cidr)
        tunnel = kernel.link(self._config.tunnel)
        return {
            route.destination: (route.gateway, route.oif if tunnel and route.oif == tunnel.ifindex else 0)
            for route in kernel.routes()
            if route.protocol == rtnl.ROUTE_PROTOCOL
            and route.gateway
            and ipaddress.IPv4Network(route.destination).subnet_of(pods)
        }
