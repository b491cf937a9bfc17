"""Nodes that live on one machine in network namespaces of their own, each on a cable (a veth pair) to the
bridge that they share.

Everything blocks, for milliseconds. What a node has inside of its namespace goes with it. Everything is
idempotent, and restartable at any step."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from podium.netd import namespaces, rtnl
from podium.netd.addresses import mac_of
from podium.netd.host import LAST_METRIC, set_sysctl
from podium.netd.nft import Nft

INTERFACE = "eth0"
ALIAS = "podium-node"


@dataclass(frozen=True)
class NodeLink:
    """One node's cable. `address` is the node's with the length of the range ("10.89.0.2/24"), `gateway` the
    machine's own on `bridge`, `machine` the address of the machine's own node, which may be on another link.
    Pins are unique on the machine by their path, cables in their network namespace by bridge and node."""

    node: str
    pin: Path
    bridge: str
    address: str
    gateway: str
    machine: str = ""

    @property
    def name(self) -> str:
        """At most 15 characters, and none of a pod's."""
        digest = hashlib.blake2s(f"{self.bridge} {self.node}".encode(), digest_size=5).hexdigest()
        return f"node{digest}"

    @property
    def alias(self) -> str:
        return f"{ALIAS} {self.bridge} {self.node}"


def attach(link: NodeLink, refused: Iterable[str]) -> None:
    """Makes the node's namespace where there is none, and plugs it in. The ranges `refused` are unreachable
    in it before anything can be sent. Moves the calling thread into the namespace: give it one of its own."""
    with rtnl.Rtnl() as host:
        bridge = host.link(link.bridge)
        if bridge is None:
            raise RuntimeError(f"there is no bridge {link.bridge}")
        if namespaces.pinned(str(link.pin)):
            namespaces.enter(str(link.pin))
        else:
            namespaces.create(str(link.pin))
        with rtnl.Rtnl() as inner:
            inner.apply(
                [
                    rtnl.link_up("lo"),
                    *(rtnl.route(cidr, kind="unreachable", metric=LAST_METRIC) for cidr in refused),
                ]
            )
            if inner.link(INTERFACE) is None:
                _plug(host, link, bridge.mtu)
            host.apply([rtnl.link_up(link.name, master=bridge.ifindex, alias=link.alias)])
            set_sysctl(f"ipv6/conf/{INTERFACE}/disable_ipv6", "1")
            _configure(inner, link)


def _plug(host: rtnl.Rtnl, link: NodeLink, mtu: int) -> None:
    ip = str(ipaddress.IPv4Interface(link.address).ip)
    with open(namespaces.OWN) as inside:
        cable = rtnl.veth(
            link.name, peer=INTERFACE, peer_namespace=inside.fileno(), peer_mac=mac_of(ip), mtu=mtu
        )
        host.apply([rtnl.link_delete(link.name), cable])


def _configure(inner: rtnl.Rtnl, link: NodeLink) -> None:
    found = inner.link(INTERFACE)
    if found is None:
        raise RuntimeError(f"the namespace of node {link.node} has no {INTERFACE}")
    interface = ipaddress.IPv4Interface(link.address)
    inner.apply(
        [
            rtnl.link_up(INTERFACE),
            rtnl.address(found.ifindex, str(interface.ip), interface.network.prefixlen),
            rtnl.route("default", oif=found.ifindex, gateway=link.gateway),
            # It answers on this link whatever it is called there.
            *([rtnl.route(f"{link.machine}/32", oif=found.ifindex)] if link.machine else ()),
        ]
    )


def cut(link: NodeLink) -> None:
    """Pulls the plug: nothing passes until `mend`. Raises OSError when there is no such cable."""
    with rtnl.Rtnl() as host:
        host.apply([rtnl.link_down(link.name)])


def mend(link: NodeLink) -> None:
    with rtnl.Rtnl() as host:
        host.apply([rtnl.link_up(link.name)])


def detach(link: NodeLink) -> None:
    """Removes the cable and lets the namespace go, which dies with its last process."""
    with rtnl.Rtnl() as host:
        host.apply([rtnl.link_delete(link.name)])
    namespaces.unpin(str(link.pin))


def lead_to_loopback(bridge: str, address: str, ports: Iterable[int]) -> None:
    """What nodes on `bridge` send to `address` (the machine's own) at these UDP and TCP ports reaches a
    server on the machine's loopback. This is how nodes in namespaces use a resolver that only the machine
    itself can reach. Needs the bridge's table, which `ensure_node_bridge` makes."""
    table, chain = f"ip {bridge}", "resolving"
    listed = sorted(set(ports))
    lines = [
        f"add chain {table} {chain} {{ type nat hook prerouting priority -105; policy accept; }}",
        f"flush chain {table} {chain}",
        *(
            f'add rule {table} {chain} iifname "{bridge}" ip daddr {address} {protocol} dport {port} '
            f"dnat to 127.0.0.1:{port}"
            for port in listed
            for protocol in ("udp", "tcp")
        ),
    ]
    nft = Nft()
    try:
        nft.apply_blocking("\n".join(lines) + "\n")
    finally:
        nft.close()
