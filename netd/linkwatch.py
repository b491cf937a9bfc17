"""Hears when a link of the node comes up or gets an address: the kernel drops the routes of a link that goes
down and does not bring them back."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from podium.netd.netlink import attributes, listen
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
        await listen(socket.NETLINK_ROUTE, GROUPS, self._heard, self._changed)

    def _heard(self, kind: int, payload: bytes) -> None:
        if _matters(kind, payload):
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
