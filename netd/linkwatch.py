"""Hears when a link of the node comes up or gets an address: the kernel drops the routes of a link that goes
down and does not bring them back."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable

from podium.netd.netlink import attributes, split
from podium.netd.podnet import is_pod_link_name

# include/uapi/linux/rtnetlink.h: the groups of links and of IPv4 addresses, and their messages.
GROUPS = 1 << 0 | 1 << 4
NEWLINK, NEWADDR = 16, 20
UP = 0x1
NAME = 3
LINK_HEADER = struct.Struct("=BxHiII")


class LinkWatch:
    """`changed()` is called on the loop; also when notifications were too many to be kept."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as kernel:
            kernel.bind((0, GROUPS))
            loop.add_reader(kernel, self._readable, kernel)
            try:
                await loop.create_future()
            finally:
                loop.remove_reader(kernel)

    def _readable(self, kernel: socket.socket) -> None:
        try:
            data = kernel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._changed()
            return
        if any(_matters(kind, payload) for kind, _, _, payload in split(data)):
            self._changed()


def _matters(kind: int, payload: bytes) -> bool:
    if kind == NEWADDR:
        return True
    if kind != NEWLINK:
        return False
    _, _, _, flags, change = LINK_HEADER.unpack_from(payload)
    if not flags & change & UP:
        return False
    name = next((value for key, value in attributes(payload, LINK_HEADER.size) if key == NAME), b"")
    return not is_pod_link_name(name.rstrip(b"\0").decode())
