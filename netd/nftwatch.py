"""Hears when others change nftables, so that nobody has to look: a flushed ruleset takes Podium's table with
it, and a firewall that is started or reloaded knows nothing of pods."""

from __future__ import annotations

from collections.abc import Callable, Collection

from podium.netd.conntrack import NETLINK_NETFILTER
from podium.netd.netlink import attributes, listen

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
        await listen(NETLINK_NETFILTER, 1 << (GROUP - 1), self._heard, self._foreign)

    def _heard(self, kind: int, payload: bytes) -> None:
        if kind >> 8 == SUBSYSTEM:
            self._changed(kind & 0xFF, payload)

    def _changed(self, kind: int, payload: bytes) -> None:
        if kind not in (DELETE_TABLE, NEW_CHAIN, DELETE_RULE):
            return
        name = next((value for key, value in attributes(payload, GENERIC_HEADER) if key == NAME), b"")
        table = name.rstrip(b"\0").decode()
        own = table in self._own
        if own and kind == DELETE_TABLE:
            self._lost(table)
        elif not own and kind != DELETE_TABLE:
            self._foreign()
