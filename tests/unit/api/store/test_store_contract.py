"""What every store promises (see `podium.api.store.base`)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import orjson
import pytest

from podium.api.store.base import Compacted, Exists, Missing, Stale, Store

PODS = "/registry/core/pods/"
A = "/registry/core/pods/default/a"
B = "/registry/core/pods/default/b"
C = "/registry/core/pods/other/c"
NODE = "/registry/core/nodes/n1"


def thing(key: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": key.rpartition("/")[2]}, "spec": spec}


async def fill(store: Store, *keys: str) -> list[int]:
    return [(await store.create(key, thing(key))).revision for key in keys]


async def take(store_watch: Any, count: int) -> list[tuple[str, str, int]]:
    """The next `count` events, as (type, key, revision)."""
    seen: list[tuple[str, str, int]] = []
    while len(seen) < count:
        seen += [(event.type, event.key, event.revision) for event in await anext(store_watch)]
    return seen


async def test_a_new_store_is_empty_and_at_revision_zero(store: Store) -> None:
    assert (store.revision, store.compacted) == (0, 0)
    assert list(store.list(PODS)) == []
    assert store.get(A) is None


async def test_a_created_object_carries_its_revision_in_bytes_and_decoded(store: Store) -> None:
    entry = await store.create(A, thing(A, x=1))
    assert store.get(A) is entry
    assert store.revision == entry.revision > 0
    expected = {"metadata": {"name": "a", "resourceVersion": str(entry.revision)}, "spec": {"x": 1}}
    assert orjson.loads(entry.value) == entry.obj == expected


async def test_creating_what_exists_is_refused_and_changes_nothing(store: Store) -> None:
    entry = await store.create(A, thing(A))
    with pytest.raises(Exists) as refusal:
        await store.create(A, thing(A, x=2))
    assert refusal.value.entry is entry
    assert store.get(A) is entry
    assert store.revision == entry.revision


async def test_an_update_needs_the_current_revision(store: Store) -> None:
    first = await store.create(A, thing(A))
    second = await store.update(A, thing(A, x=1), first.revision)
    assert second.revision > first.revision
    with pytest.raises(Stale) as refusal:
        await store.update(A, thing(A, x=2), first.revision)
    assert refusal.value.entry is second
    assert store.get(A) is second


async def test_a_delete_needs_the_current_revision_and_leaves_nothing(store: Store) -> None:
    first = await store.create(A, thing(A))
    second = await store.update(A, thing(A), first.revision)
    with pytest.raises(Stale):
        await store.delete(A, thing(A), first.revision)
    last = await store.delete(A, thing(A), second.revision)
    assert last.obj["metadata"]["resourceVersion"] == str(last.revision)
    assert store.get(A) is None
    assert store.count(PODS) == 0


async def test_updating_or_deleting_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(Missing):
        await store.update(A, thing(A), 3)
    with pytest.raises(Missing):
        await store.delete(A, thing(A), 3)
    assert store.revision == 0


async def test_a_name_can_be_used_again_after_its_deletion(store: Store) -> None:
    first = await store.create(A, thing(A))
    await store.delete(A, thing(A), first.revision)
    again = await store.create(A, thing(A))
    assert again.revision > first.revision
    with pytest.raises(Stale):
        await store.update(A, thing(A), first.revision)


async def test_an_object_that_cannot_be_encoded_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(TypeError):
        await store.create(A, thing(A, bad=object()))
    assert store.latest(A) is None
    assert (await store.create(A, thing(A))).revision == store.revision


async def test_lists_are_sorted_by_key_and_keep_to_their_prefix(store: Store) -> None:
    await fill(store, C, NODE, B, A, "/registry/core/podtemplates/default/a")
    assert [entry.key for entry in store.list(PODS)] == [A, B, C]
    assert [entry.key for entry in store.list("/registry/core/pods/default/")] == [A, B]
    assert [entry.key for entry in store.list("/registry/core/nodes/")] == [NODE]
    assert store.count("/registry/") == 5
    assert store.count(PODS) == 3


async def test_an_accepted_write_is_shown_to_writers_at_once_and_to_readers_when_durable(
    store: Store,
) -> None:
    writing = asyncio.ensure_future(store.create(A, thing(A)))
    await asyncio.sleep(0)
    accepted = store.latest(A)
    assert accepted is not None
    assert store.get(A) is None
    assert store.revision == 0
    assert await writing is accepted
    assert store.get(A) is accepted


async def test_accepted_writes_are_among_what_writers_see_below_a_prefix(store: Store) -> None:
    first, second = await store.create(A, thing(A)), await store.create(B, thing(B))
    writing = [
        asyncio.ensure_future(store.update(A, thing(A, x=1), first.revision)),
        asyncio.ensure_future(store.delete(B, thing(B), second.revision)),
        asyncio.ensure_future(store.create(C, thing(C))),
    ]
    await asyncio.sleep(0)
    assert {entry.key: entry.revision for entry in store.latest_below(PODS)} == {A: 3, C: 5}
    assert {entry.key for entry in store.list(PODS)} == {A, B}
    await asyncio.gather(*writing)
    assert {entry.key for entry in store.latest_below(PODS)} == {A, C}


async def test_writers_may_build_on_what_is_not_durable_yet(store: Store) -> None:
    async def chain() -> int:
        entry = await store.create(A, thing(A))
        return entry.revision

    first = asyncio.ensure_future(chain())
    await asyncio.sleep(0)
    pending = store.latest(A)
    assert pending is not None
    second = await store.update(A, thing(A, x=1), pending.revision)
    assert await first == pending.revision < second.revision
    assert store.get(A) is second


async def test_of_many_creators_of_one_name_exactly_one_wins(store: Store) -> None:
    results = await asyncio.gather(
        *(store.create(A, thing(A, n=n)) for n in range(20)), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, BaseException)]
    lost = [result for result in results if isinstance(result, Exists)]
    assert len(won) == 1
    assert len(lost) == 19
    assert all(error.entry is won[0] for error in lost)


async def test_of_many_writers_on_one_revision_exactly_one_wins(store: Store) -> None:
    entry = await store.create(A, thing(A))
    results = await asyncio.gather(
        *(store.update(A, thing(A, n=n), entry.revision) for n in range(10)),
        store.delete(A, thing(A), entry.revision),
        return_exceptions=True,
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, Stale) for result in results) == 10


async def test_a_cancelled_writer_does_not_disturb_the_others(store: Store) -> None:
    doomed = asyncio.ensure_future(store.create(A, thing(A)))
    other = asyncio.ensure_future(store.create(B, thing(B)))
    await asyncio.sleep(0)
    doomed.cancel()
    entry = await other
    assert store.get(B) is entry
    assert store.get(A) is not None


async def test_a_watch_sees_every_later_event_once_and_in_order(store: Store) -> None:
    await fill(store, A)
    start = store.revision
    watch = store.watch(PODS, start)
    entry = store.get(A)
    assert entry is not None
    changed = await store.update(A, thing(A, x=1), entry.revision)
    (made,) = await fill(store, C)
    await fill(store, NODE)
    gone = await store.delete(A, thing(A), changed.revision)
    assert await take(watch, 3) == [
        ("MODIFIED", A, changed.revision),
        ("ADDED", C, made),
        ("DELETED", A, gone.revision),
    ]
    assert watch.progress == store.revision
    watch.close()


async def test_a_watch_from_the_past_replays_it_and_goes_on(store: Store) -> None:
    keys = [f"/registry/core/pods/ns{n % 3}/p{n:02}" for n in range(40)]
    revisions = await fill(store, *keys) if store.compacted == 0 else []
    past = max(store.compacted, revisions[4])
    watch = store.watch("/registry/core/pods/ns1/", past)
    (later,) = await fill(store, "/registry/core/pods/ns1/later")
    expected = [
        ("ADDED", key, revision)
        for key, revision in zip(keys, revisions, strict=True)
        if revision > past and "/ns1/" in key
    ]
    expected.append(("ADDED", "/registry/core/pods/ns1/later", later))
    assert await take(watch, len(expected)) == expected
    watch.close()


async def test_replayed_events_carry_what_was_before(store: Store) -> None:
    first = await store.create(A, thing(A, x=1))
    second = await store.update(A, thing(A, x=2), first.revision)
    third = await store.delete(A, thing(A, x=2), second.revision)
    await fill(store, *(f"/registry/core/pods/default/p{n}" for n in range(5)))
    watch = store.watch(PODS, 0)
    events: list[Any] = []
    while len(events) < 3:
        events += await anext(watch)
    watch.close()
    assert [event.type for event in events[:3]] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event.prev and event.prev.revision for event in events[:3]] == [
        None,
        first.revision,
        second.revision,
    ]
    assert [event.entry.value for event in events[:3]] == [first.value, second.value, third.value]
    assert events[1].prev.obj["spec"] == {"x": 1}


async def test_a_waiting_watch_is_woken_once_for_all_that_is_pending(store: Store) -> None:
    watch = store.watch(PODS, 0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await asyncio.gather(*(store.create(key, thing(key)) for key in (A, B, C)))
    batch = await waiting
    assert [event.key for event in batch] == [A, B, C]
    watch.close()


async def test_cancelling_a_wait_loses_no_event(store: Store) -> None:
    watch = store.watch(PODS, 0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await fill(store, A)
    assert await take(watch, 1) == [("ADDED", A, 1)]
    watch.close()


async def test_a_closed_watch_ends(store: Store) -> None:
    watch = store.watch(PODS, 0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    watch.close()
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await fill(store, A)
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_closing_the_store_settles_writes_and_ends_watches(store: Store) -> None:
    watch = store.watch(PODS, 0)
    writing = asyncio.ensure_future(store.create(A, thing(A)))
    await asyncio.sleep(0)
    await store.close()
    assert (await writing).key == A
    assert [batch async for batch in watch] == []


async def test_watchers_share_one_line_per_event(store: Store) -> None:
    first = await store.create(A, thing(A, x=1))
    watches = [store.watch(PODS, first.revision) for _ in range(2)]
    second = await store.update(A, thing(A, x=2), first.revision)
    (one,), (other,) = [await anext(watch) for watch in watches]
    assert one.wire() is other.wire()
    assert orjson.loads(one.wire()) == {"type": "MODIFIED", "object": second.obj}
    assert orjson.loads(one.wire("ADDED")) == {"type": "ADDED", "object": second.obj}
    for watch in watches:
        watch.close()


async def test_an_object_that_leaves_a_selector_is_shown_as_it_was_at_the_new_revision(store: Store) -> None:
    first = await store.create(A, thing(A, x=1))
    watch = store.watch(PODS, first.revision)
    second = await store.update(A, thing(A, x=2), first.revision)
    (event,) = await anext(watch)
    shown = orjson.loads(event.wire("DELETED"))
    assert shown["type"] == "DELETED"
    assert shown["object"]["spec"] == {"x": 1}
    assert shown["object"]["metadata"]["resourceVersion"] == str(second.revision)
    assert first.obj["metadata"]["resourceVersion"] == str(first.revision)
    watch.close()


async def test_pages_of_an_old_revision_are_consistent(store: Store) -> None:
    keys = [f"/registry/core/pods/default/p{n}" for n in range(5)]
    revisions = dict(zip(keys, await fill(store, *keys), strict=True))
    then = [entry.value for entry in store.list(PODS)]
    at = store.revision
    await store.delete(keys[1], thing(keys[1]), revisions[keys[1]])
    changed = await store.update(keys[2], thing(keys[2], x=1), revisions[keys[2]])
    await store.update(keys[2], thing(keys[2], x=2), changed.revision)
    await fill(store, "/registry/core/pods/default/p11", A)
    pages, after = [], ""
    for _ in itertools.repeat(None, 10):
        entries, left = await store.list_at(PODS, at, after=after, limit=2)
        pages.append(([entry.key for entry in entries], left))
        after = entries[-1].key
        if not left:
            break
    assert pages == [(keys[0:2], 3), (keys[2:4], 1), (keys[4:5], 0)]
    everything, left = await store.list_at(PODS, at)
    assert [entry.value for entry in everything] == then
    assert left == 0


async def test_a_page_of_the_present_knows_how_many_are_left(store: Store) -> None:
    await fill(store, A, B, C)
    entries, left = await store.list_at(PODS, store.revision, limit=3)
    assert ([entry.key for entry in entries], left) == ([A, B, C], 0)
    entries, left = await store.list_at(PODS, store.revision, after=A, limit=1)
    assert ([entry.key for entry in entries], left) == ([B], 1)


async def test_compaction_takes_the_past_and_leaves_the_present(store: Store) -> None:
    first = await store.create(A, thing(A, x=1))
    second = await store.update(A, thing(A, x=2), first.revision)
    await fill(store, B)
    await store.compact(second.revision)
    assert store.compacted == second.revision
    with pytest.raises(Compacted) as gone:
        store.watch(PODS, first.revision)
    assert (gone.value.code, gone.value.reason) == (410, "Expired")
    with pytest.raises(Compacted):
        await store.list_at(PODS, first.revision)
    assert store.get(A) is second
    watch = store.watch(PODS, second.revision)
    assert await take(watch, 1) == [("ADDED", B, store.revision)]
    entries, _ = await store.list_at(PODS, second.revision)
    assert [entry.value for entry in entries] == [second.value]
    watch.close()


async def test_compaction_never_goes_back_or_beyond_the_present(store: Store) -> None:
    await fill(store, A, B)
    await store.compact(1_000)
    assert store.compacted == store.revision
    await store.compact(1)
    assert store.compacted == store.revision


async def test_decoding_is_done_once_and_shared(store: Store) -> None:
    await fill(store, A)
    entry = store.get(A)
    assert entry is not None
    assert entry.obj == orjson.loads(entry.value)
