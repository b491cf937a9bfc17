"""The store without a disk: for embedding and tests. Durable means accepted; history is what fits in
memory."""

from __future__ import annotations

from podium.api.store.base import Compacted
from podium.api.store.entry import DecodedCache, Event
from podium.api.store.history import History
from podium.api.store.log import KEEP_SECONDS, Batch, Journal, Listener, Loaded, LogStore

HISTORY_BYTES = 32 << 20


class MemoryJournal(Journal):
    keeps_history = False

    async def open(self, listener: Listener, cache: DecodedCache) -> Loaded:
        self._listener = listener
        return Loaded(0, 0, [])

    def submit(self, batch: Batch) -> None:
        self._listener.committed(batch)

    async def read(self, prefix: str, after: int, until: int) -> tuple[list[Event], int]:
        raise Compacted(after, until)

    async def compact(self, revision: int) -> None:
        return

    async def close(self) -> None:
        return


class MemoryStore(LogStore):
    def __init__(self, *, history_bytes: int = HISTORY_BYTES, keep: float = KEEP_SECONDS) -> None:
        super().__init__(MemoryJournal(), history=History(history_bytes), keep=keep)
