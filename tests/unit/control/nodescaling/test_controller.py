"""The node autoscaler against a real API server, with machines that are only names. The test is the
scheduler: it says which pods fit nowhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import yaml

from podium.api.server import ApiServer
from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS, EVENTS, NODES, PODS, Resource
from podium.client.factory import InformerFactory
from podium.control.controller import Context
from podium.control.nodescaling import NodeAutoscaler, NodeScalingConfig, taints
from podium.control.nodescaling.provider import ProviderError
from tests.unit.control.nodescaling.build import node, pod
from tests.unit.control.nodescaling.memory import MemoryProvider
from tests.unit.control.watching import PATIENCE, until
from tests.unit.frozen import FrozenClient


class World:
    def __init__(self, client: Any, provider: MemoryProvider, **options: Any) -> None:
        self.client, self.provider = client, provider
        frozen = FrozenClient(client)
        self.context = Context(frozen, InformerFactory(frozen))
        short = {"scan_interval": 0.05, "unneeded_time": 0.2, "delay_after_add": 0.0} | options
        self.autoscaler = NodeAutoscaler(self.context, NodeScalingConfig(provider, **short))
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.context.informers.start()
        self._running = asyncio.create_task(self.autoscaler.run())

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.context.informers.stop()
        await self.context.close()

    async def register(self, name: str, cpu: str = "4", **spec: Any) -> None:
        """The node is there and Ready."""
        obj = node(name, cpu, **spec)
        obj["metadata"].pop("uid")
        made = await self.client.create(NODES, obj)
        await self.client.update(NODES, {**made, "status": obj["status"]}, subresource="status")

    async def run_pod(self, obj: Obj) -> None:
        """Creates it as it is, its status included."""
        obj["metadata"].pop("uid")
        await self.client.create(PODS, obj)
        meta = obj["metadata"]
        await self.client.patch(
            PODS, meta["name"], {"status": obj["status"]}, meta["namespace"], subresource="status"
        )

    async def until(
        self, resource: Resource, holds: Callable[[list[Obj]], bool], namespace: str = ""
    ) -> list[Obj]:
        return await until(self.client, resource, holds, namespace)

    async def event(self, reason: str) -> Obj:
        found = await self.until(EVENTS, lambda events: any(each["reason"] == reason for each in events))
        return next(each for each in found if each["reason"] == reason)

    async def nodes(self, *names: str) -> None:
        await self.until(NODES, lambda nodes: {each["metadata"]["name"] for each in nodes} == set(names))


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def running(server: ApiServer, provider: MemoryProvider, **options: Any) -> AsyncIterator[World]:
    world = World(server.client, provider, **options)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def test_a_pod_that_does_not_fit_brings_a_node(server: ApiServer) -> None:
    provider = MemoryProvider("a")
    async with running(server, provider) as world:
        await world.register("a")
        await world.run_pod(pod("full", "4", on="a"))
        await world.run_pod(pod("waits", "2"))
        event = await world.event("TriggeredScaleUp")
        assert event["message"] == "pod triggered scale-up: [{pool 1->2 (max: 5)}]"
        assert event["involvedObject"]["name"] == "waits"
        # It is on its way: nobody asks for another.
        await world.run_pod(pod("too", "2"))
        await world.register("made-1")
        assert provider.added == [1]


async def test_a_pod_that_no_node_can_take_is_told_so(server: ApiServer) -> None:
    async with running(server, MemoryProvider("a")) as world:
        await world.register("a")
        await world.run_pod(pod("huge", "100"))
        event = await world.event("NotTriggerScaleUp")
        assert event["message"] == "pod didn't trigger scale-up: 1 Insufficient cpu"


async def test_a_provider_that_fails_is_left_alone_for_a_while(server: ApiServer) -> None:
    provider = MemoryProvider("a")
    provider.fails = "out of machines"
    async with running(server, provider) as world:
        await world.register("a")
        await world.run_pod(pod("waits", "5", on=""))
        await world.run_pod(pod("full", "4", on="a"))
        await world.run_pod(pod("small", "1"))
        assert "out of machines" in (await world.event("FailedToScaleUpGroup"))["message"]
        provider.fails = ""
        event = await world.until(
            EVENTS, lambda events: any("in backoff after failed scale-up" in e["message"] for e in events)
        )
        assert event
        assert provider.added == []


async def test_a_node_that_never_comes_is_given_up(server: ApiServer) -> None:
    provider = MemoryProvider("a")
    async with running(server, provider, provision_timeout=0.3) as world:
        await world.register("a")
        await world.run_pod(pod("full", "4", on="a"))
        await world.run_pod(pod("waits", "2"))
        event = await world.event("ScaleUpTimedOut")
        assert "made-1" in event["message"]
        await provider.acts(lambda: provider.removed == ["made-1"])


async def test_a_node_that_somebody_took_away_is_not_waited_for(server: ApiServer) -> None:
    provider = MemoryProvider("a", "b")
    async with running(server, provider, unneeded_time=900.0) as world:
        await world.register("a")
        await world.register("b")
        await world.run_pod(pod("full", "4", on="a"))
        await world.until(NODES, lambda found: any(taints.has(each, taints.CANDIDATE) for each in found))
        provider.nodes.remove("b")
        await server.client.delete(NODES, "b")
        await world.run_pod(pod("waits", "2"))
        await provider.acts(lambda: provider.added == [1])


async def test_an_idle_node_goes_and_its_pods_move(server: ApiServer) -> None:
    provider = MemoryProvider("a", "b")
    async with running(server, provider) as world:
        await world.register("a")
        await world.register("b")
        await world.run_pod(pod("heavy", "3", on="a"))
        await world.run_pod(pod("light", "500m", on="b", terminationGracePeriodSeconds=0))
        marked = await world.until(
            NODES, lambda nodes: any(taints.has(each, taints.CANDIDATE) for each in nodes)
        )
        assert {each["metadata"]["name"] for each in marked if taints.has(each, taints.CANDIDATE)} == {"b"}
        await world.nodes("a")
        assert provider.removed == ["b"]
        names = [each["metadata"]["name"] for each in (await world.client.list(PODS)).items]
        assert names == ["heavy"]
        assert (await world.event("ScaleDown"))["reason"] == "ScaleDown"


async def test_a_node_whose_pods_fit_nowhere_else_stays(server: ApiServer) -> None:
    provider = MemoryProvider("a", "b", "c")
    async with running(server, provider) as world:
        for name in "abc":
            await world.register(name)
        await world.run_pod(pod("heavy-a", "3", on="a"))
        await world.run_pod(pod("light", "1500m", on="b"))
        # The empty one goes; then there is no room for the pod of the other.
        await world.nodes("a", "b")
        assert provider.removed == ["c"]


async def test_a_node_that_was_being_emptied_is_decided_anew_after_a_restart(server: ApiServer) -> None:
    provider = MemoryProvider("a", "b", least=2)
    world = World(server.client, provider)
    taint = {"key": taints.DELETED, "value": "1", "effect": "NoSchedule"}
    await world.register("a", taints=[taint])
    await world.register("b")
    await world.start()
    try:
        await world.until(NODES, lambda nodes: not any(taints.has(each, taints.DELETED) for each in nodes))
    finally:
        await world.stop()


@pytest.mark.parametrize("error", [ProviderError("no"), ConnectionError("away")], ids=["refused", "away"])
async def test_a_node_that_could_not_be_removed_takes_pods_again(server: ApiServer, error: Exception) -> None:
    provider = MemoryProvider("a", "b")
    provider.refuses = error
    async with running(server, provider, delay_after_failure=PATIENCE) as world:
        await world.register("a")
        await world.run_pod(pod("full", "4", on="a"))
        await world.register("b")
        await provider.acts(lambda: provider.removed == ["b"])
        await world.event("ScaleDownFailed")
        await world.until(NODES, lambda nodes: not any(taints.has(each, taints.DELETED) for each in nodes))


async def test_a_group_gets_back_what_it_lost(server: ApiServer) -> None:
    provider = MemoryProvider(least=2)
    async with running(server, provider) as world:
        await world.event("ScaledUpGroup")
        await provider.acts(lambda: provider.added == [2])


async def test_the_status_can_be_read(server: ApiServer) -> None:
    async with running(server, MemoryProvider("a")) as world:
        await world.register("a")

        def told(maps: list[Obj]) -> bool:
            found = [each for each in maps if each["metadata"]["name"] == "cluster-autoscaler-status"]
            return bool(found) and _groups(found[0])[0]["health"]["nodeCounts"]["registered"]["ready"] == 1

        await world.until(CONFIG_MAPS, told, "kube-system")


def _groups(config_map: Obj) -> Any:
    return yaml.safe_load(config_map["data"]["status"])["nodeGroups"]
