"""What a store holds in memory is bounded, and a slow watcher is dropped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podium.api.store.base import Compacted, WatchDropped
from podium.api.store.entry import DecodedCache, Entry
from podium.api.store.log import LogStore
from podium.api.store.memory import MemoryJournal, MemoryStore
from podium.api.store.sqlite import SqliteStore

POD = "/registry/core/pods/default/"


async def test_a_watcher_that_does_not_read_is_dropped_and_may_come_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", backlog=10, keep=0)
    await store.start()
    watch = store.watch(POD, 0)
    for n in range(11):
        await store.create(f"{POD}p{n}", {"metadata": {"name": f"p{n}"}})
    with pytest.raises(WatchDropped):
        await anext(watch)
    again = store.watch(POD, watch.progress)
    assert len(await anext(again)) == 11
    again.close()
    await store.close()


async def test_the_memory_store_forgets_history_beyond_its_bound() -> None:
    store = MemoryStore(history_bytes=5_000, keep=0)
    await store.start()
    entry = await store.create(POD + "a", {"metadata": {"name": "a"}})
    for _ in range(100):
        entry = await store.update(POD + "a", {"metadata": {"name": "a"}}, entry.revision)
    assert 0 < store.compacted < store.revision
    with pytest.raises(Compacted):
        store.watch(POD, 0)
    watch = store.watch(POD, store.compacted)
    assert len(await anext(watch)) == store.revision - store.compacted
    await store.close()


async def test_history_is_given_up_after_one_to_two_periods() -> None:
    periods: asyncio.Queue[None] = asyncio.Queue()
    asked: list[float] = []

    async def pause(seconds: float) -> None:
        asked.append(seconds)
        await periods.get()
        periods.task_done()

    store = LogStore(MemoryJournal(), keep=300, pause=pause)
    await store.start()
    first = await store.create(POD + "a", {"metadata": {"name": "a"}})
    compactions = []
    for _ in range(2):
        periods.put_nowait(None)
        await periods.join()
        await store.create(f"{POD}b{len(compactions)}", {"metadata": {"name": "b"}})
        compactions.append(store.compacted)
    assert compactions == [0, first.revision]
    assert set(asked) == {300}
    await store.close()


def test_decoded_objects_are_let_go_beyond_the_limit_but_those_in_use_last() -> None:
    cache = DecodedCache(limit=50)
    entries = [Entry(f"k{n}", b'{"n":%d}' % n, n, cache) for n in range(30)]
    favourite = entries[0].obj
    for entry in entries:
        assert entry.obj == {"n": entry.revision}
        assert entries[0].obj is favourite
    held = [entry for entry in entries if entry._obj is not None]
    assert entries[0] in held
    assert sum(len(entry.value) for entry in held) <= 50
