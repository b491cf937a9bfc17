"""rtnetlink requests in batches. pyroute2 encodes and decodes; the socket is a plain blocking one, since a
socket belongs to the network namespace of the thread that opens it and netd opens many short ones in
short-lived threads.

Nothing here knows what a pod is. All calls block for as long as the kernel takes (microseconds to some
milliseconds).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

from podium.netd.messages import ifaddrmsg, ifinfmsg, ndmsg, rtmsg
from podium.netd.netlink import ACK, DONE, DUMP, ERROR, HEADER, REQUEST, attributes, split

# include/uapi/linux/netlink.h and rtnetlink.h, as far as `netlink` does not have them.
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
NEWLINK, DELLINK, GETLINK, SETLINK, NEWADDR, GETADDR = 16, 17, 18, 19, 20, 22
NEWROUTE, DELROUTE, GETROUTE, NEWNEIGH, DELNEIGH, GETNEIGH = 24, 25, 26, 28, 29, 30
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
ACK_TLVS = 0x200
UP = 0x1
SCOPES = {"global": 0, "link": 253, "host": 254}
ROUTE_TYPES = {"unicast": 1, "unreachable": 7}
# The next hop is on the link although no address of the link says so.
ONLINK = 0x4
# include/uapi/linux/neighbour.h.
PERMANENT, ITSELF = 0x80, 0x02
BRIDGE_FAMILY = 7
MAIN_TABLE = 254
# Marks the routes that are Podium's, as `proto` does for every routing daemon (rtnetlink.h leaves 5 to 255 to
# users).
ROUTE_PROTOCOL = 80


class Request(NamedTuple):
    """One encoded message. An answer with an errno of `ignore` counts as success."""

    data: bytes
    what: str
    ignore: tuple[int, ...] = ()


class Link(NamedTuple):
    ifindex: int
    name: str
    alias: str
    master: int
    mtu: int
    kind: str


class Neighbour(NamedTuple):
    """Who has `mac`: the neighbour at `address`, or, for a forwarding entry, the tunnel's end there."""

    mac: str
    address: str
    forwarding: bool


class Route(NamedTuple):
    """`destination` is "ADDRESS/LENGTH"; `gateway` is "" and `oif` 0 where the route has none."""

    destination: str
    gateway: str
    oif: int
    protocol: int
    metric: int
    kind: int


def _encode(message: Any, kind: int, flags: int, attrs: list[tuple[str, Any]]) -> bytes:
    message["header"]["type"] = kind
    message["header"]["flags"] = REQUEST | ACK | flags
    message["attrs"] = attrs
    message.encode()
    return bytes(message.data)


def bridge(name: str, *, mac: str, mtu: int) -> Request:
    """Adds a bridge; one that is there is kept as it is. The explicit `mac` keeps it from changing with its
    ports."""
    message = ifinfmsg()
    attrs = [
        ("IFLA_IFNAME", name),
        ("IFLA_MTU", mtu),
        ("IFLA_ADDRESS", mac),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    return Request(_encode(message, NEWLINK, CREATE | EXCL, attrs), f"add bridge {name}", (errno.EEXIST,))


def veth(name: str, *, peer: str, peer_namespace: int, peer_mac: str, mtu: int, master: int = 0) -> Request:
    """Adds a veth pair whose peer is born in the network namespace open as file descriptor `peer_namespace`.
    With `master` the end here is a port of that bridge, and up."""
    inner = [
        ("IFLA_IFNAME", peer),
        ("IFLA_MTU", mtu),
        ("IFLA_ADDRESS", peer_mac),
        ("IFLA_NET_NS_FD", peer_namespace),
    ]
    data = {"attrs": [("VETH_INFO_PEER", {"attrs": inner})]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    attrs = [("IFLA_IFNAME", name), ("IFLA_MTU", mtu), ("IFLA_LINKINFO", info)]
    message = ifinfmsg()
    if master:
        attrs.append(("IFLA_MASTER", master))
        message["flags"] = message["change"] = UP
    return Request(_encode(message, NEWLINK, CREATE | EXCL, attrs), f"add veth {name}")


def vxlan(name: str, *, mac: str, number: int, port: int, local: str, mtu: int) -> Request:
    """Adds a tunnel link that only knows the ends it is told of."""
    inner = [
        ("IFLA_VXLAN_ID", number),
        ("IFLA_VXLAN_LOCAL", local),
        ("IFLA_VXLAN_PORT", port),
        ("IFLA_VXLAN_LEARNING", 0),
    ]
    info = {"attrs": [("IFLA_INFO_KIND", "vxlan"), ("IFLA_INFO_DATA", {"attrs": inner})]}
    attrs = [("IFLA_IFNAME", name), ("IFLA_MTU", mtu), ("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", info)]
    return Request(_encode(ifinfmsg(), NEWLINK, CREATE | EXCL, attrs), f"add tunnel link {name}")


def _neighbour(index: int, entry: Neighbour) -> tuple[Any, list[tuple[str, Any]]]:
    message = ndmsg()
    message["family"] = BRIDGE_FAMILY if entry.forwarding else socket.AF_INET
    message["ifindex"] = index
    message["state"] = PERMANENT
    message["flags"] = ITSELF if entry.forwarding else 0
    return message, [("NDA_DST", entry.address), ("NDA_LLADDR", entry.mac)]


def neighbour(index: int, entry: Neighbour) -> Request:
    """Adds a permanent entry to the link `index`, or replaces the one of the same key."""
    message, attrs = _neighbour(index, entry)
    return Request(_encode(message, NEWNEIGH, CREATE | REPLACE, attrs), f"add neighbour {entry.address}")


def neighbour_delete(index: int, entry: Neighbour) -> Request:
    message, attrs = _neighbour(index, entry)
    data = _encode(message, DELNEIGH, 0, attrs)
    return Request(data, f"delete neighbour {entry.address}", (errno.ENOENT, errno.ENODEV))


def link_up(name: str, *, master: int = 0, alias: str = "", mac: str = "", mtu: int = 0) -> Request:
    message = ifinfmsg()
    message["flags"] = message["change"] = UP
    attrs: list[tuple[str, Any]] = [("IFLA_IFNAME", name)]
    if master:
        attrs.append(("IFLA_MASTER", master))
    if alias:
        attrs.append(("IFLA_IFALIAS", alias))
    if mac:
        attrs.append(("IFLA_ADDRESS", mac))
    if mtu:
        attrs.append(("IFLA_MTU", mtu))
    return Request(_encode(message, SETLINK, 0, attrs), f"set link {name}")


def link_down(name: str) -> Request:
    message = ifinfmsg()
    message["change"] = UP
    return Request(_encode(message, SETLINK, 0, [("IFLA_IFNAME", name)]), f"set link {name} down")


def hairpin(name: str, *, alias: str = "") -> Request:
    """Lets a bridge port send a frame back to where it came from; then gives it the alias."""
    slave = {"attrs": [("IFLA_BRPORT_MODE", 1)]}
    info = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", slave)]}
    attrs = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    if alias:
        attrs.append(("IFLA_IFALIAS", alias))
    return Request(_encode(ifinfmsg(), NEWLINK, 0, attrs), f"hairpin on {name}")


def link_delete(name: str) -> Request:
    attrs = [("IFLA_IFNAME", name)]
    return Request(_encode(ifinfmsg(), DELLINK, 0, attrs), f"delete link {name}", (errno.ENODEV,))


def address(index: int, ip: str, length: int, *, scope: str = "global") -> Request:
    message = ifaddrmsg()
    message["family"] = socket.AF_INET
    message["prefixlen"] = length
    message["scope"] = SCOPES[scope]
    message["index"] = index
    attrs = [("IFA_LOCAL", ip), ("IFA_ADDRESS", ip)]
    return Request(
        _encode(message, NEWADDR, CREATE | EXCL, attrs), f"add address {ip}/{length}", (errno.EEXIST,)
    )


def _route(
    destination: str, *, kind: str, oif: int, gateway: str, source: str, scope: str, metric: int
) -> tuple[Any, list[tuple[str, Any]]]:
    message = rtmsg()
    message["family"] = socket.AF_INET
    message["table"] = MAIN_TABLE
    message["proto"] = ROUTE_PROTOCOL
    message["type"] = ROUTE_TYPES[kind]
    message["scope"] = SCOPES[scope]
    attrs: list[tuple[str, Any]] = []
    if destination != "default":
        network, _, length = destination.partition("/")
        message["dst_len"] = int(length)
        attrs.append(("RTA_DST", network))
    if oif:
        attrs.append(("RTA_OIF", oif))
    if gateway:
        attrs.append(("RTA_GATEWAY", gateway))
    if source:
        attrs.append(("RTA_PREFSRC", source))
    if metric:
        attrs.append(("RTA_PRIORITY", metric))
    return message, attrs


def route(
    destination: str,
    *,
    kind: str = "unicast",
    oif: int = 0,
    gateway: str = "",
    source: str = "",
    metric: int = 0,
    onlink: bool = False,
) -> Request:
    """Adds a route ("default" or "NETWORK/LENGTH") to the main table, or replaces the one of the same
    metric."""
    scope = "global" if gateway or kind != "unicast" else "link"
    message, attrs = _route(
        destination, kind=kind, oif=oif, gateway=gateway, source=source, scope=scope, metric=metric
    )
    message["flags"] = ONLINK if onlink else 0
    return Request(_encode(message, NEWROUTE, CREATE | REPLACE, attrs), f"add route {destination}")


def route_delete(destination: str, *, kind: str = "unicast", oif: int = 0, metric: int = 0) -> Request:
    message, attrs = _route(
        destination, kind=kind, oif=oif, gateway="", source="", scope="global", metric=metric
    )
    message["scope"] = 255
    data = _encode(message, DELROUTE, 0, attrs)
    return Request(data, f"delete route {destination}", (errno.ESRCH, errno.ENODEV))


class Rtnl:
    """One rtnetlink socket, in the network namespace that the calling thread is in. Not for several threads
    at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self._socket.bind((0, 0))

    def __enter__(self) -> Rtnl:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def apply(self, requests: Iterable[Request]) -> None:
        """All requests in one system call, in order. A failing one does not stop those after it; the first
        error is raised (OSError with the kernel's errno) when all are answered."""
        pending = dict(enumerate(requests, 1))
        parts = []
        for number, request in pending.items():
            data = bytearray(request.data)
            struct.pack_into("=I", data, 8, number)
            parts.append(bytes(data).ljust(-(-len(data) // 4) * 4, b"\0"))
        if not parts:
            return
        self._socket.send(b"".join(parts))
        failed: OSError | None = None
        while pending:
            for kind, flags, number, payload in self._receive():
                if kind != ERROR or number not in pending:
                    continue
                request = pending.pop(number)
                code = -struct.unpack_from("=i", payload)[0]
                if code and code not in request.ignore and failed is None:
                    failed = OSError(code, f"{request.what}: {os.strerror(code)}{_explained(flags, payload)}")
        if failed is not None:
            raise failed

    def links(self) -> list[Link]:
        message = ifinfmsg()
        # RTEXT_FILTER_SKIP_STATS: a third of the bytes of a link are counters.
        message["attrs"] = [("IFLA_EXT_MASK", 8)]
        return [_link(found) for found in self._dump(message, GETLINK, ifinfmsg)]

    def link(self, name: str) -> Link | None:
        """The link of that name, None if there is none."""
        message = ifinfmsg()
        message["attrs"] = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", 8)]
        message["header"]["type"] = GETLINK
        message["header"]["flags"] = REQUEST
        message.encode()
        self._socket.send(bytes(message.data))
        while True:
            for kind, _, _, payload in self._receive():
                if kind == ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code == errno.ENODEV:
                        return None
                    raise OSError(code, f"get link {name}: {os.strerror(code)}")
                return _link(_decoded(ifinfmsg, kind, payload))

    def routes(self) -> list[Route]:
        """IPv4 routes of the main table."""
        message = rtmsg()
        message["family"] = socket.AF_INET
        found = (
            _routed(entry) for entry in self._dump(message, GETROUTE, rtmsg) if entry["table"] == MAIN_TABLE
        )
        return list(found)

    def route_to(self, address: str) -> Route | None:
        """The route that a packet to this address would take, None if it would take none."""
        message = rtmsg()
        message["family"] = socket.AF_INET
        message["dst_len"] = 32
        message["attrs"] = [("RTA_DST", address)]
        message["header"]["type"] = GETROUTE
        message["header"]["flags"] = REQUEST
        message.encode()
        self._socket.send(bytes(message.data))
        for kind, _, _, payload in self._receive():
            if kind != ERROR:
                return _routed(_decoded(rtmsg, kind, payload))
        return None

    def link_with(self, address: str) -> Link | None:
        """The link that has this address."""
        message = ifaddrmsg()
        message["family"] = socket.AF_INET
        found = self._dump(message, GETADDR, ifaddrmsg)
        index = next((entry["index"] for entry in found if entry.get_attr("IFA_LOCAL") == address), 0)
        return next((link for link in self.links() if index and link.ifindex == index), None)

    def neighbours(self, index: int) -> set[Neighbour]:
        """The permanent entries of one link, those that its tunnel forwards by too."""
        found = set()
        for family in (socket.AF_INET, BRIDGE_FAMILY):
            message = ndmsg()
            message["family"] = family
            message["ifindex"] = index
            for entry in self._dump(message, GETNEIGH, ndmsg):
                mac, address = entry.get_attr("NDA_LLADDR"), entry.get_attr("NDA_DST")
                if entry["ifindex"] == index and entry["state"] & PERMANENT and mac and address:
                    found.add(Neighbour(mac, address, family == BRIDGE_FAMILY))
        return found

    def _dump(self, message: Any, kind: int, decoder: type[Any]) -> list[Any]:
        message["header"]["type"] = kind
        message["header"]["flags"] = REQUEST | DUMP
        message.encode()
        self._socket.send(bytes(message.data))
        found: list[Any] = []
        while True:
            for answer, _, _, payload in self._receive():
                if answer == DONE:
                    return found
                if answer == ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise OSError(code, f"dump: {os.strerror(code)}")
                found.append(_decoded(decoder, answer, payload))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        yield from split(self._socket.recv(1 << 17))


def _explained(flags: int, payload: bytes) -> str:
    """The kernel's own words about an error, if it had any (NLMSGERR_ATTR_MSG)."""
    if not flags & ACK_TLVS:
        return ""
    for kind, value in attributes(payload, 4 + HEADER.size):
        if kind == 1:
            return f" ({value.rstrip(bytes(1)).decode(errors='replace')})"
    return ""


def _decoded(decoder: type[Any], kind: int, payload: bytes) -> Any:
    message = decoder(HEADER.pack(HEADER.size + len(payload), kind, 0, 0, 0) + payload)
    message.decode()
    return message


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        ifindex=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        mtu=message.get_attr("IFLA_MTU") or 0,
        kind=(info.get_attr("IFLA_INFO_KIND") or "") if info is not None else "",
    )


def _routed(message: Any) -> Route:
    return Route(
        destination=f"{message.get_attr('RTA_DST') or '0.0.0.0'}/{message['dst_len']}",
        gateway=message.get_attr("RTA_GATEWAY") or "",
        oif=message.get_attr("RTA_OIF") or 0,
        protocol=message["proto"],
        metric=message.get_attr("RTA_PRIORITY") or 0,
        kind=message["type"],
    )
