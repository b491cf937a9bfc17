"""Routes to the pods of other nodes on a link that the nodes share."""

from __future__ import annotations

import asyncio
import ipaddress
import logging

from podium.api.types import Obj
from podium.client.informer import Informer
from podium.netd import rtnl
from podium.netd.config import NetConfig

log = logging.getLogger(__name__)


def wanted_routes(nodes: list[Obj], own_name: str) -> dict[str, str]:
    """Pod range → address of its node, for every node but our own. Pure."""
    found = {}
    for node in nodes:
        cidr = (node.get("spec") or {}).get("podCIDR")
        addresses = (node.get("status") or {}).get("addresses") or ()
        address = next((entry["address"] for entry in addresses if entry.get("type") == "InternalIP"), "")
        if node["metadata"]["name"] != own_name and cidr and address and ":" not in cidr + address:
            found[cidr] = address
    return found


class NodeRoutes:
    """Follows the Nodes. Routes that an earlier daemon left are replaced or removed by the first pass."""

    def __init__(self, config: NetConfig, nodes: Informer) -> None:
        self._config = config
        self._nodes = nodes
        self._applied: dict[str, str] | None = None
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        nodes.add_handler(self._changed)

    async def settled(self) -> None:
        """Waits until the routes are what the Nodes known by now ask for."""
        await self._settled.wait()

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        self._settled.clear()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        await self._nodes.synced()
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted = wanted_routes(self._nodes.list(), self._config.node_name)
            if wanted != self._applied:
                await asyncio.to_thread(self._apply, wanted)
                self._applied = wanted
            if not self._wake.is_set():
                self._settled.set()

    def _apply(self, wanted: dict[str, str]) -> None:
        with rtnl.Rtnl() as kernel:
            kernel.apply(rtnl.route_delete(cidr) for cidr in self._ours(kernel) - wanted.keys())
            for cidr, address in wanted.items():
                try:
                    kernel.apply([rtnl.route(cidr, gateway=address)])
                except OSError as error:
                    log.warning("no way to the pods of node %s: %s", address, error)

    def _ours(self, kernel: rtnl.Rtnl) -> set[str]:
        """Pod ranges that are routed by way of another node."""
        pods = ipaddress.IPv4Network(self._config.cluster_cidr)
        return {
            route.destination
            for route in kernel.routes()
            if route.protocol == rtnl.ROUTE_PROTOCOL
            and route.gateway
            and ipaddress.IPv4Network(route.destination).subnet_of(pods)
        }
