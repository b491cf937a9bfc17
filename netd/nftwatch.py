"""Hears when others change nftables, so that nobody has to look: a flushed ruleset takes Podium's table with
it, and a firewall that is started or reloaded knows nothing of pods."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Collection

from podium.netd.conntrack import NETLINK_NETFILTER
from podium.netd.netlink import attributes, split

log = logging.getLogger(__name__)

# include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h.
SUBSYSTEM = 10
GROUP = 7
DELETE_TABLE, NEW_CHAIN, DELETE_RULE = 2, 3, 8
# Every table, chain and rule names its table in the first attribute.
NAME = 1
GENERIC_HEADER = 4


class NftWatch:
    """`lost(name)` is called when one of the tables `own` was deleted, `foreign()` when a chain appeared or a
    rule went elsewhere. Both on the loop; also when notifications were too many to be kept, since then
    anything may have happened."""

    def __init__(
        self, own: Collection[str], *, lost: Callable[[str], None], foreign: Callable[[], None]
    ) -> None:
        self._own = own
        self._lost = lost
        self._foreign = foreign

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER) as kernel:
            kernel.bind((0, 1 << (GROUP - 1)))
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
            self._foreign()
            return
        for kind, _, _, payload in split(data):
            if kind >> 8 == SUBSYSTEM:
                self._heard(kind & 0xFF, payload)

    def _heard(self, kind: int, payload: bytes) -> None:
        if kind not in (DELETE_TABLE, NEW_CHAIN, DELETE_RULE):
            return
        name = next((value for key, value in attributes(payload, GENERIC_HEADER) if key == NAME), b"")
        table = name.rstrip(b"\0").decode()
        own = table in self._own
        if own and kind == DELETE_TABLE:
            self._lost(table)
        elif not own and kind != DELETE_TABLE:
            self._foreign()
