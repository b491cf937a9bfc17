"""Selecting by labels from what is known of them gives what looking at each object gives."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.api.store import labels
from podium.api.store.base import Store
from podium.api.store.memory import MemoryStore
from podium.api.store.sqlite import SqliteStore
from podium.api.types.selectors import Requirement, Selector, parse_labels

PODS = "/registry/core/pods/"
KEYS = [f"{PODS}{namespace}/{name}" for namespace in ("x", "xy", "y") for name in "abcd"]
NAMES, VALUES = ["app", "tier", "n"], ["", "a", "b", "3", "10"]

LABELS = st.none() | st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES))
WRITES = st.lists(st.tuples(st.sampled_from(KEYS), LABELS, st.booleans()), max_size=30)
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement,
        st.sampled_from(NAMES),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(Requirement, st.sampled_from(NAMES), st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(
        Requirement, st.sampled_from(NAMES), st.sampled_from(["Gt", "Lt"]), st.sampled_from([("3",), ("9",)])
    ),
)
SELECTORS = st.builds(Selector, st.lists(REQUIREMENTS, min_size=1, max_size=3).map(tuple))
BOUNDED = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


async def write(store: Store, key: str, wanted: dict[str, str] | None, *, stays: bool) -> None:
    held = store.get(key)
    obj: dict[str, Any] = {"metadata": {"name": key, **({} if wanted is None else {"labels": wanted})}}
    if held is None:
        await store.create(key, obj)
    elif stays:
        await store.update(key, obj, held.revision)
    else:
        await store.delete(key, obj, held.revision)


async def learned(store: Store) -> None:
    while True:
        if store.learn(PODS):
            return
        await asyncio.sleep(0)


def agrees(store: Store, selector: Selector) -> None:
    for prefix in (PODS, PODS + "x/", PODS + "y/", PODS + "nobody/"):
        expected = [entry for entry in store.list(prefix) if selector.matches(entry.labels)]
        assert list(store.selected(prefix, selector)) == expected


@given(WRITES, WRITES, st.lists(SELECTORS, min_size=1, max_size=4))
@BOUNDED
def test_what_is_selected_is_what_matches(
    before: list[Any], after: list[Any], selectors: list[Selector]
) -> None:
    async def run() -> None:
        store = MemoryStore(keep=0)
        await store.start()
        for key, wanted, stays in before:
            await write(store, key, wanted, stays=stays)
        await learned(store)
        for selector in selectors:
            agrees(store, selector)
        for key, wanted, stays in after:
            await write(store, key, wanted, stays=stays)
            agrees(store, selectors[0])
        assert store.learn(PODS)
        for selector in selectors:
            agrees(store, selector)
        await store.close()

    asyncio.run(run())


@given(WRITES, WRITES, SELECTORS)
@settings(BOUNDED, max_examples=25)
def test_labels_are_learned_from_a_file_while_objects_change(
    before: list[Any], meanwhile: list[Any], selector: Selector
) -> None:
    async def run(folder: Path) -> None:
        store = SqliteStore(folder / "state.db", keep=0)
        await store.start()
        for key, wanted, stays in before:
            await write(store, key, wanted, stays=stays)
        await store.close()
        store = SqliteStore(folder / "state.db", keep=0)
        await store.start()
        with pytest.MonkeyPatch.context() as patch:
            # Nothing is learned in no time.
            patch.setattr(labels, "TURN", 0)
            store.learn(PODS)
        for key, wanted, stays in meanwhile:
            await write(store, key, wanted, stays=stays)
        await learned(store)
        agrees(store, selector)
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def test_labels_of_a_resource_that_nobody_selects_from_are_not_kept(store: Store) -> None:
    assert list(store.selected(PODS, parse_labels("app=a"))) == []
    assert store.learn(PODS)


async def test_few_of_many_are_in_order(store: Store) -> None:
    for number in reversed(range(40)):
        await write(store, f"{PODS}x/{number:02}", {"app": "few" if number % 13 == 0 else "many"}, stays=True)
    await learned(store)
    for text, count in (("app=few", 4), ("app=many", 36), ("app", 40), ("!app", 0), ("app notin (few)", 36)):
        found = [entry.key for entry in store.selected(PODS, parse_labels(text))]
        assert found == sorted(found)
        assert len(found) == count
    assert list(store.selected(PODS, Selector(nothing=True))) == []
