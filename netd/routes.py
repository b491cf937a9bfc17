"""Ways to the pods of other nodes. Pure.

Nodes that share a link route to each other. Between all others there is a tunnel link: VXLAN whose ends, and
whose neighbours' MAC addresses, follow from the Nodes, so that nothing has to be learned or announced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from podium.api.types import Obj
from podium.netd.addresses import AddressPool, mac_of
from podium.netd.config import Mode
from podium.netd.rtnl import Neighbour

# Outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348).
TUNNEL_HEADERS = 50


class Peer(NamedTuple):
    """Another node, as the network sees it."""

    name: str
    pod_cidr: str
    address: str


class Way(NamedTuple):
    """How to get to the pods of `peer`."""

    peer: Peer
    tunnel: bool

    @property
    def gateway(self) -> str:
        """The next hop; in the tunnel it is the other node's gateway, which is known to be at its end."""
        return AddressPool(self.peer.pod_cidr).gateway if self.tunnel else self.peer.address


def peers_of(nodes: Iterable[Obj], own_name: str) -> list[Peer]:
    """Every node but our own that has a pod range and an address."""
    found = (peer_of(node) for node in nodes if node["metadata"]["name"] != own_name)
    return sorted(peer for peer in found if peer is not None)


def peer_of(node: Obj) -> Peer | None:
    cidr = (node.get("spec") or {}).get("podCIDR")
    addresses = (node.get("status") or {}).get("addresses") or ()
    address = next((entry["address"] for entry in addresses if entry.get("type") == "InternalIP"), "")
    if not cidr or not address or ":" in cidr + address:
        return None
    return Peer(node["metadata"]["name"], cidr, address)


def ways(peers: Iterable[Peer], mode: Mode, shares_link: Callable[[str], bool]) -> list[Way]:
    return [
        Way(peer, mode == "vxlan" or (mode == "auto" and not shares_link(peer.address))) for peer in peers
    ]


def entries(found: Iterable[Way]) -> set[Neighbour]:
    """What the tunnel link has to know: who has the gateways' addresses, and where these are."""
    known = set()
    for way in found:
        if way.tunnel:
            mac = mac_of(way.peer.address)
            known.add(Neighbour(mac, way.gateway, forwarding=False))
            known.add(Neighbour(mac, way.peer.address, forwarding=True))
    return known


def pod_mtu(underlay: int, *, tunnel: bool) -> int:
    return underlay - TUNNEL_HEADERS if tunnel else underlay
