"""Any sequence of writes, compactions and restarts: the store agrees with a list of dictionaries."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.api.store.base import Compacted, Rejected, Store
from podium.api.store.history import History
from podium.api.store.memory import MemoryStore
from podium.api.store.sqlite import SqliteStore

ROOT = "/registry/core/pods/"
KEYS = [f"{ROOT}{namespace}/{name}" for namespace in "xy" for name in "abc"]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("update"), st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("compact"), st.integers(0, 30), st.just(True)),
        st.tuples(st.just("reopen"), st.just(""), st.just(True)),
    ),
    max_size=40,
)


class Model:
    """States by revision, and the events between them."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, int]] = {0: {}}
        self.events: list[tuple[str, str, int]] = []
        self.compacted = 0
        self.newest = 0

    def write(self, type: str, key: str, revision: int) -> None:
        state = dict(self.states[self.newest])
        if type == "DELETED":
            del state[key]
        else:
            state[key] = revision
        assert revision > self.newest
        self.newest = revision
        self.states[revision] = state
        self.events.append((type, key, revision))

    @property
    def state(self) -> dict[str, int]:
        return self.states[self.newest]


async def apply(store: Store, model: Model, verb: str, key: str, valid: bool) -> None:
    held = model.state.get(key, 0)
    obj: dict[str, Any] = {"metadata": {"name": key}}
    expected = held if valid else held + 1
    try:
        if verb == "create":
            entry = await store.create(key, obj)
        elif verb == "update":
            entry = await store.update(key, obj, expected)
        else:
            entry = await store.delete(key, obj, expected)
    except Rejected:
        assert held if verb == "create" else (not held or not valid)
        return
    assert not held if verb == "create" else (held and valid)
    model.write({"create": "ADDED", "update": "MODIFIED", "delete": "DELETED"}[verb], key, entry.revision)


async def check(store: Store, model: Model) -> None:
    assert store.revision == model.newest
    assert [(entry.key, entry.revision) for entry in store.list(ROOT)] == sorted(model.state.items())
    for revision, state in model.states.items():
        try:
            entries, left = await store.list_at(ROOT + "x/", revision)
        except Compacted:
            assert revision < model.compacted
            continue
        assert revision >= model.compacted
        assert left == 0
        wanted = sorted(item for item in state.items() if item[0].startswith(ROOT + "x/"))
        assert [(entry.key, entry.revision) for entry in entries] == wanted
        await check_watch(store, model, revision)


async def check_watch(store: Store, model: Model, revision: int) -> None:
    expected = [event for event in model.events if event[2] > revision]
    watch = store.watch(ROOT, revision)
    seen: list[tuple[str, str, int]] = []
    while len(seen) < len(expected):
        seen += [(event.type, event.key, event.revision) for event in await anext(watch)]
    watch.close()
    assert seen == expected


async def play(steps: list[tuple[str, Any, bool]], folder: Path | None) -> None:
    def make() -> Store:
        if folder is None:
            return MemoryStore(keep=0)
        return SqliteStore(folder / "state.db", keep=0, history=History(max_events=4), decoded_bytes=200)

    store, model = make(), Model()
    await store.start()
    try:
        for verb, argument, valid in steps:
            if verb == "compact":
                target = min(argument, model.newest)
                await store.compact(argument)
                model.compacted = max(model.compacted, target)
            elif verb == "reopen" and folder is not None:
                await store.close()
                store = make()
                await store.start()
            elif verb != "reopen":
                await apply(store, model, verb, argument, valid)
        await check(store, model)
    finally:
        await store.close()


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_memory_store_agrees_with_the_model(steps: list[tuple[str, Any, bool]]) -> None:
    asyncio.run(play(steps, None))


@given(STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_sqlite_store_agrees_with_the_model(steps: list[tuple[str, Any, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))
