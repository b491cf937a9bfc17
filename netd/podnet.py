"""The network of each pod: a pinned namespace, a veth pair into the pod bridge, an address.

A pod has a /32 and reaches everything, its neighbours too, through the bridge's address: so the node's
connection tracking and rules see both directions of every packet, whether the kernel hands bridged frames to
them or not. The node has one route per pod; an address that no pod has meets the range's unreachable route
and is refused at once.

The truth is on the machine. The link's name follows from the pod's uid, and its alias holds uid and
addresses; the alias is written last, so a link without one is half made and is made again. Nothing else has
to be remembered, apart from host ports, which `hostports` keeps.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from podium.api.types import Obj
from podium.netd import namespaces, rtnl
from podium.netd.addresses import AddressPool, mac_of
from podium.netd.config import NetConfig
from podium.netd.hostports import HostPort, HostPorts, host_ports

log = logging.getLogger(__name__)

INTERFACE = "eth0"
ALIAS = "podium-pod"
# Linking and unlinking serialise on one kernel lock: more at once only queue there.
AT_ONCE = 4


class Guards(Protocol):
    """Who decides whom a pod may talk to."""

    async def guard(self, pod: Obj, ip: str) -> None: ...

    def forget(self, uid: str) -> None: ...


class PodNetwork:
    """What `runtime` calls. At most one call per pod at a time; any number of pods at once.

    `ports_changed(uid, ports)` is told which host ports a pod has, at the latest before `setup` returns;
    `unused(uid)` waits until no new connection is sent to a pod; `guards` have their rules
    for a pod before it starts."""

    def __init__(
        self,
        config: NetConfig,
        ports_changed: Callable[[str, tuple[HostPort, ...]], None] | None = None,
        unused: Callable[[str], Awaitable[None]] | None = None,
        guards: Guards | None = None,
    ) -> None:
        self._config = config
        self._guards = guards
        self._unused = unused
        self._ports_changed = ports_changed or (lambda uid, ports: None)
        self._host_ports = HostPorts(config.state_dir)
        self._pool: AddressPool | None = None
        self._bridge = 0
        self._mtu = 1500
        self._addresses: dict[str, str] = {}
        self._making: dict[str, asyncio.Task[str]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def set_mtu(self, mtu: int) -> None:
        """What pods that are connected from now on may send."""
        self._mtu = mtu

    async def open(self, pod_cidr: str) -> None:
        """Reads back what is on the machine. The bridge must be there."""
        self._pool = AddressPool(pod_cidr)
        bridge = await namespaces.in_thread(self._find_bridge)
        self._bridge, self._mtu = bridge.ifindex, bridge.mtu
        found, broken = await namespaces.in_thread(self._read_back)
        if broken:
            log.info("removing what was half made: %s", ", ".join(broken))
            await namespaces.in_thread(lambda: _delete_links(broken))
        await namespaces.in_thread(lambda: self._delete_stale_routes(set(found.values())))
        self._addresses = found
        for address in found.values():
            self._pool.claim(address)
        for uid, ports in self._host_ports.load().items():
            if uid in found:
                self._ports_changed(uid, ports)
            else:
                self._host_ports.forget(uid)

    async def setup(self, pod: Obj, netns: str) -> list[str]:
        """Makes and pins the namespace at `netns` where missing, connects it, returns the pod's addresses.
        Idempotent, and restartable at any step; a caller that is cancelled leaves the step to be finished.
        Raises RangeFull, or OSError with the kernel's answer."""
        self._opened()
        uid = pod["metadata"]["uid"]
        address = self._addresses.get(uid)
        if address is None or not namespaces.pinned(netns):
            address = await asyncio.shield(self._making.get(uid) or self._start_making(uid, netns))
        if uid not in self._host_ports:
            self._publish_ports(uid, pod, address)
        if self._guards is not None:
            await self._guards.guard(pod, address)
        return [address]

    async def withdrawn(self, uid: str) -> None:
        """Waits until Services no longer send new connections to a pod that is being deleted; for a short
        while at most."""
        if self._unused is not None:
            await self._unused(uid)

    async def teardown(self, uid: str, netns: str) -> None:
        """Removes the pod's links, lets its namespace and addresses go. Idempotent. Needs no `open`."""
        if uid in self._making:
            await asyncio.wait([self._making[uid]])
        if uid in self._host_ports:
            self._ports_changed(uid, ())
            self._host_ports.forget(uid)
        if self._guards is not None:
            self._guards.forget(uid)
        async with self._slots:
            await namespaces.in_thread(lambda: _disconnect(uid, netns))
        address = self._addresses.pop(uid, None)
        if address is not None:
            self._opened().release(address)

    async def known(self) -> dict[str, list[str]]:
        """uid → addresses of the pods that are connected, read from the machine."""
        found, _ = await namespaces.in_thread(self._read_back)
        return {uid: [address] for uid, address in found.items()}

    def _opened(self) -> AddressPool:
        if self._pool is None:
            raise RuntimeError("the pod network is not open yet")
        return self._pool

    def _start_making(self, uid: str, netns: str) -> asyncio.Task[str]:
        task = self._making[uid] = asyncio.create_task(self._make(uid, netns))
        task.add_done_callback(lambda task: self._made(uid, task))
        return task

    def _made(self, uid: str, task: asyncio.Task[str]) -> None:
        del self._making[uid]
        if not task.cancelled() and task.exception() is not None:
            log.debug("pod %s is not connected: %s", uid, task.exception())

    async def _make(self, uid: str, netns: str) -> str:
        address = self._addresses.get(uid) or self._opened().take()
        try:
            async with self._slots:
                await namespaces.in_thread(lambda: self._connect(uid, netns, address))
        except BaseException:
            if uid not in self._addresses:
                self._opened().release(address)
            raise
        self._addresses[uid] = address
        return address

    def _publish_ports(self, uid: str, pod: Obj, address: str) -> None:
        ports = host_ports(pod, address)
        if ports:
            self._host_ports.remember(uid, ports)
            self._ports_changed(uid, ports)

    def _find_bridge(self) -> rtnl.Link:
        with rtnl.Rtnl() as kernel:
            bridge = kernel.link(self._config.bridge)
        if bridge is None:
            raise RuntimeError(f"there is no bridge {self._config.bridge}")
        return bridge

    def _read_back(self) -> tuple[dict[str, str], list[str]]:
        """(uid → address of the connected pods, names of links that are half made)."""
        with rtnl.Rtnl() as kernel:
            links = kernel.links()
        found: dict[str, str] = {}
        broken: list[str] = []
        for link in filter(is_pod_link, links):
            uid, address = identity(link)
            if uid:
                found[uid] = address
            elif not link.alias:
                broken.append(link.name)
        return found, broken

    def _delete_stale_routes(self, addresses: set[str]) -> None:
        """Routes go by the bridge, so they stay when a pod's link is gone: what tries such an address would
        wait for an answer instead of being refused."""
        with rtnl.Rtnl() as kernel:
            stale = [
                route.destination
                for route in kernel.routes()
                if (route.oif, route.protocol) == (self._bridge, rtnl.ROUTE_PROTOCOL)
                and route.destination.endswith("/32")
                and route.destination.removesuffix("/32") not in addresses
            ]
            kernel.apply(rtnl.route_delete(destination) for destination in stale)

    def _connect(self, uid: str, netns: str, address: str) -> None:
        name, gateway = link_name(uid), self._opened().gateway
        with rtnl.Rtnl() as host:
            if host.link(name) is not None:
                host.apply([rtnl.link_delete(name)])
            if namespaces.pinned(netns):
                namespaces.enter(netns)
            else:
                namespaces.create(netns)
            with open(namespaces.OWN) as inside:
                peer = rtnl.veth(
                    name,
                    peer=INTERFACE,
                    peer_namespace=inside.fileno(),
                    peer_mac=mac_of(address),
                    mtu=self._mtu,
                    master=self._bridge,
                )
                host.apply([peer])
            _configure_inside(address, gateway)
            host.apply(
                [
                    rtnl.route(f"{address}/32", oif=self._bridge, source=gateway),
                    rtnl.hairpin(name, alias=f"{ALIAS} {uid} {address}"),
                ]
            )


def _disconnect(uid: str, netns: str) -> None:
    with rtnl.Rtnl() as host:
        link = host.link(link_name(uid))
        if link is not None:
            _, address = identity(link)
            routes = [rtnl.route_delete(f"{address}/32")] if address else []
            host.apply([*routes, rtnl.link_delete(link.name)])
    namespaces.unpin(netns)


def _configure_inside(address: str, gateway: str) -> None:
    """Addresses and routes in the namespace that the calling thread is in."""
    with rtnl.Rtnl() as inner:
        link = inner.link(INTERFACE)
        if link is None:
            raise RuntimeError(f"the pod's namespace has no {INTERFACE}")
        inner.apply(
            [
                rtnl.link_up("lo"),
                rtnl.link_up(INTERFACE),
                rtnl.address(link.ifindex, address, 32),
                rtnl.route(f"{gateway}/32", oif=link.ifindex),
                rtnl.route("default", oif=link.ifindex, gateway=gateway),
            ]
        )


def _delete_links(names: list[str]) -> None:
    with rtnl.Rtnl() as kernel:
        kernel.apply(rtnl.link_delete(name) for name in names)


def link_name(uid: str) -> str:
    """The name of a pod's link on the node: 15 characters are all the kernel allows."""
    return "pod" + hashlib.blake2s(uid.encode(), digest_size=6).hexdigest()


def identity(link: rtnl.Link) -> tuple[str, str]:
    """(uid, address) of the pod whose link it is; empty if it is not finished."""
    label, _, rest = link.alias.partition(" ")
    uid, _, address = rest.partition(" ")
    return (uid, address) if label == ALIAS and address else ("", "")


def is_pod_link(link: rtnl.Link) -> bool:
    return link.kind == "veth" and is_pod_link_name(link.name)


def is_pod_link_name(name: str) -> bool:
    return name.startswith("pod") and len(name) == 15
