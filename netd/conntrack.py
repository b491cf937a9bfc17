"""Forgets connections that the kernel still translates to an endpoint that is gone.

Only for UDP: a client that keeps its source port would go on talking to nobody for as long as it talks. TCP
connections end by themselves, and may still be draining. Raw nfnetlink, since the table can be large and only
few of its entries matter.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from podium.netd.netlink import ACK, DONE, DUMP, ERROR, HEADER, REQUEST, attributes, split

# include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
NETLINK_NETFILTER = 12
GET, DELETE = 0x0101, 0x0102
TUPLE_ORIG, TUPLE_REPLY = 1, 2
TUPLE_IP, TUPLE_PROTO = 1, 2
IP_SOURCE, IP_DESTINATION = 1, 2
PROTO_NUMBER, PROTO_SOURCE_PORT, PROTO_DESTINATION_PORT = 1, 2, 3
NESTED = 0x8000
IPV4_HEADER = struct.pack("=BBH", socket.AF_INET, 0, 0)

Target = tuple[str, int]


class Flow:
    """One tracked connection: what the client asked for, and who answers."""

    __slots__ = ("_original", "server", "target")

    def __init__(self, original: bytes, target: Target, server: Target) -> None:
        self._original = original
        self.target = target
        self.server = server

    def delete_request(self) -> bytes:
        attribute = struct.pack("=HH", 4 + len(self._original), TUPLE_ORIG | NESTED) + self._original
        return _message(DELETE, REQUEST | ACK, attribute)


def forget_udp(servers: Iterable[Target], targets: Iterable[Target], ports: Iterable[int]) -> int:
    """Deletes the UDP flows that are translated to one of `servers`, and those that are not translated
    although they go to one of `targets`, or to one of `ports` at whatever address. Returns how many there
    were. Blocks for as long as it takes to read the table."""
    servers, targets, ports = set(servers), set(targets), set(ports)

    def stale(flow: Flow) -> bool:
        if flow.server != flow.target:
            return flow.server in servers
        return flow.target in targets or flow.target[1] in ports

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        found = [flow for flow in _udp_flows(kernel) if stale(flow)]
        for flow in found:
            kernel.send(flow.delete_request())
            for kind, _, _, payload in split(kernel.recv(1 << 16)):
                code = -struct.unpack_from("=i", payload)[0] if kind == ERROR else 0
                if code not in (0, errno.ENOENT):
                    raise OSError(code, f"forget a connection: {os.strerror(code)}")
    return len(found)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    data = IPV4_HEADER + body
    return HEADER.pack(HEADER.size + len(data), kind, flags, 0, 0) + data


def _udp_flows(kernel: socket.socket) -> Iterator[Flow]:
    kernel.send(_message(GET, REQUEST | DUMP, b""))
    while True:
        for kind, _, _, payload in split(kernel.recv(1 << 17)):
            if kind == DONE:
                return
            if kind == ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                raise OSError(code, f"read the connection table: {os.strerror(code)}")
            flow = _udp_flow(payload)
            if flow is not None:
                yield flow


def _udp_flow(payload: bytes) -> Flow | None:
    tuples = dict(attributes(payload, len(IPV4_HEADER)))
    original, reply = _parts(tuples[TUPLE_ORIG]), _parts(tuples[TUPLE_REPLY])
    if original is None or reply is None:
        return None
    return Flow(
        tuples[TUPLE_ORIG],
        _end(original, IP_DESTINATION, PROTO_DESTINATION_PORT),
        _end(reply, IP_SOURCE, PROTO_SOURCE_PORT),
    )


def _parts(data: bytes) -> tuple[dict[int, bytes], dict[int, bytes]] | None:
    """(addresses, protocol) of a tuple, None if it is not UDP."""
    parts = dict(attributes(data))
    protocol = dict(attributes(parts[TUPLE_PROTO]))
    if protocol[PROTO_NUMBER][0] != socket.IPPROTO_UDP:
        return None
    return dict(attributes(parts[TUPLE_IP])), protocol


def _end(parts: tuple[dict[int, bytes], dict[int, bytes]], ip: int, port: int) -> Target:
    addresses, protocol = parts
    return socket.inet_ntoa(addresses[ip]), struct.unpack("!H", protocol[port])[0]
