"""What is known of a namespace's usage without counting is what counting would give."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.kinds import Kind, Kinds
from podium.api.schema.definitions import Definitions
from podium.api.store.entry import Entry
from podium.api.store.memory import MemoryStore
from podium.api.strategy import registry
from podium.api.tallies import Tallies
from podium.api.types import Obj
from podium.api.types.resources import PODS
from podium.api.types.usage import Usage, usage

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SPECS: tuple[Obj, ...] = ({}, {"scopes": ["BestEffort"]}, {"scopes": ["NotTerminating"]})


class CountingStore(MemoryStore):
    """Knows how often everything was listed."""

    lists = 0

    def list(self, prefix: str) -> Any:
        self.lists += 1
        return super().list(prefix)


class World:
    def __init__(self, store: CountingStore) -> None:
        definitions = Definitions.load()
        kinds = Kinds(Kind(strategy, definitions, None) for strategy in registry().values())
        self.store, self.kinds, self.now = store, kinds, NOW
        self.tallies = Tallies(store, kinds, lambda: self.now)

    def key(self, name: str, namespace: str = "a") -> str:
        return self.kinds.of(PODS).key(namespace, name)

    def used(self, spec: Obj, namespace: str = "a") -> Usage:
        return {name: n for name, n in self.tallies.used(PODS, namespace, spec).items() if n}

    def counted(self, spec: Obj, namespace: str = "a") -> Usage:
        prefix = self.kinds.of(PODS).below(namespace)
        found = usage([entry.obj for entry in self.store.latest_below(prefix)], PODS, spec, self.now)
        return {name: amount for name, amount in found.items() if amount}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = CountingStore()
    await store.start()
    yield World(store)
    await store.close()


def pod(name: str, cpu: str = "", **meta: Any) -> Obj:
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    return {"metadata": {"name": name, **meta}, "spec": {"containers": [{"resources": resources}]}}


async def test_it_follows_whatever_happens(world: World) -> None:
    dice = random.Random(7)
    entries: dict[str, Entry] = {}
    for turn in range(400):
        name = f"p{dice.randrange(12)}"
        key, held = world.key(name), entries.get(name)
        obj = pod(name, dice.choice(["", "1", "500m"]))
        if dice.random() < 0.2:
            obj["metadata"] |= {"deletionTimestamp": "2030-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
        if dice.random() < 0.2:
            obj["status"] = {"phase": "Succeeded"}
        if held is None:
            entries[name] = await world.store.create(key, obj)
        elif dice.random() < 0.3:
            await world.store.delete(key, held.obj, held.revision)
            del entries[name]
        else:
            entries[name] = await world.store.update(key, obj, held.revision)
        if dice.random() < 0.1:
            world.now += timedelta(seconds=10)
        if turn % 3 == 0:
            for spec in SPECS:
                assert world.used(spec) == world.counted(spec)


async def test_what_is_accepted_counts_before_it_is_durable(world: World) -> None:
    writes = [asyncio.ensure_future(world.store.create(world.key(f"p{n}"), pod(f"p{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    assert world.used({})["pods"] == 5
    await asyncio.gather(*writes)
    assert world.used({})["pods"] == 5


async def test_nothing_is_counted_twice_over(world: World) -> None:
    await world.store.create(world.key("first"), pod("first"))
    assert world.used({})["pods"] == 1
    world.store.lists = 0
    for number in range(50):
        await world.store.create(world.key(f"p{number}"), pod(f"p{number}"))
        await world.store.create(world.key(f"p{number}", "b"), pod(f"p{number}"))
        assert world.used({})["pods"] == number + 2
    assert world.store.lists == 0


async def test_it_counts_anew_when_the_way_from_then_is_forgotten(world: World) -> None:
    await world.store.create(world.key("first"), pod("first"))
    assert world.used({})["pods"] == 1
    await world.store.create(world.key("second"), pod("second"))
    await world.store.compact(world.store.revision)
    assert world.used({})["pods"] == 2
