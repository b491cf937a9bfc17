"""The scheduler against a real API server in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from podium.api.server import ApiServer
from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import EVENTS, NODES, PODS, SERVICE_ACCOUNTS, Resource
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.control.scheduler import Scheduler

from ...clock import FakeClock, settle
from ...frozen import FrozenClient
from . import build

PATIENCE = 20.0


class FailingClient(FrozenClient):
    """Refuses the next `failures` bindings."""

    failures = 0

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.refused = asyncio.Event()

    async def create(self, resource: Resource, *args: Any, **kwargs: Any) -> Obj:
        if kwargs.get("subresource") == "binding" and self.failures:
            self.failures -= 1
            self.refused.set()
            raise StatusError(500, "InternalError", "the disk is full")
        return await super().create(resource, *args, **kwargs)


class Cluster:
    """A server, its informers, and a scheduler that runs."""

    def __init__(self, server: ApiServer) -> None:
        self.client = FailingClient(server.client)
        self.clock = FakeClock()
        self.pods, self.nodes = Informer(self.client, PODS), Informer(self.client, NODES)
        self.recorder = EventRecorder(self.client, "default-scheduler")
        self.scheduler = Scheduler(self.client, self.pods, self.nodes, self.recorder, clock=self.clock)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.scheduler.run())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def add_node(self, name: str, **more: Any) -> None:
        made = build.node(name, **more)
        del made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
        await self.client.create(NODES, made)
        spec = {"taints": more.get("taints")}
        await self.client.patch(NODES, name, {"spec": spec}, kind="merge")
        await self.client.patch(NODES, name, {"status": made["status"]}, kind="merge", subresource="status")

    async def add_pod(self, name: str, **spec: Any) -> None:
        made = build.pod(name, **spec)
        del made["metadata"]["uid"]
        await self.client.create(PODS, made)

    async def pod(self, name: str, holds: Callable[[Obj], object]) -> Obj:
        """The pod, once `holds` is true of it."""
        seen: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()

        def changed(_: Obj | None, new: Obj | None) -> None:
            if new is not None and meta.name_of(new) == name and holds(new) and not seen.done():
                seen.set_result(new)

        self.pods.add_handler(changed)
        return await asyncio.wait_for(seen, PATIENCE)

    async def bound(self, name: str) -> str:
        pod = await self.pod(name, lambda entry: entry["spec"].get("nodeName"))
        return str(pod["spec"]["nodeName"])

    async def rejected(self, name: str) -> str:
        pod = await self.pod(name, lambda entry: (meta.condition(entry, "PodScheduled") or {}).get("reason"))
        return str((meta.condition(pod, "PodScheduled") or {})["message"])

    async def events(self, reason: str) -> list[str]:
        await asyncio.wait_for(self.recorder.flush(), PATIENCE)
        found = await self.client.list(EVENTS, "default")
        return [entry["message"] for entry in found.items if entry["reason"] == reason]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    server = ApiServer()
    await server.start()
    with contextlib.suppress(StatusError):
        account = {"metadata": {"name": "default", "namespace": "default"}}
        await server.client.create(SERVICE_ACCOUNTS, account)
    made = Cluster(server)
    informers = [asyncio.create_task(made.pods.run()), asyncio.create_task(made.nodes.run())]
    made.start()
    yield made
    await made.stop()
    for task in informers:
        task.cancel()
    await asyncio.gather(*informers, return_exceptions=True)
    await made.recorder.close()
    await server.close()


async def test_a_pod_is_bound_and_an_event_says_so(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_pod("p")
    assert await cluster.bound("p") == "a"
    assert await cluster.events("Scheduled") == ["Successfully assigned default/p to a"]


async def test_a_pod_without_a_place_says_why_and_gets_one_when_a_node_comes(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    await cluster.add_pod("p", requests={"cpu": "2"})
    message = await cluster.rejected("p")
    assert message.startswith("0/1 nodes are available: 1 Insufficient cpu. preemption: ")
    await cluster.add_node("b")
    cluster.clock.advance(10)
    assert await cluster.bound("p") == "b"
    assert (await cluster.events("FailedScheduling"))[0] == message


async def test_a_deleted_pod_makes_room_for_one_that_waits(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    await cluster.add_pod("first", requests={"cpu": "1"})
    await cluster.bound("first")
    await cluster.add_pod("second", requests={"cpu": "1"})
    await cluster.rejected("second")
    cluster.clock.advance(10)
    await cluster.client.delete(PODS, "first", "default", grace_seconds=0)
    assert await cluster.bound("second") == "a"


async def test_a_gated_pod_waits_for_its_gate_and_others_schedulers_pods_are_left_alone(
    cluster: Cluster,
) -> None:
    await cluster.add_node("a")
    await cluster.add_pod("gated", schedulingGates=[{"name": "example.com/gate"}])
    await cluster.add_pod("foreign", schedulerName="another")
    await cluster.add_pod("plain")
    await cluster.bound("plain")
    for name in ("gated", "foreign"):
        assert not (cluster.pods.get(name, "default") or {})["spec"].get("nodeName")
    await cluster.client.patch(PODS, "gated", {"spec": {"schedulingGates": None}}, "default", kind="merge")
    assert await cluster.bound("gated") == "a"


async def test_a_removed_taint_lets_the_pod_in(cluster: Cluster) -> None:
    await cluster.add_node("a", taints=[{"key": "k", "effect": "NoSchedule"}])
    await cluster.add_pod("p")
    assert "1 node(s) had untolerated taint(s)" in await cluster.rejected("p")
    cluster.clock.advance(10)
    await cluster.client.patch(NODES, "a", {"spec": {"taints": None}}, kind="merge")
    assert await cluster.bound("p") == "a"


async def test_a_failed_binding_gives_the_place_back_and_is_tried_again(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    cluster.client.failures = 1
    await cluster.add_pod("p", requests={"cpu": "1"})
    await asyncio.wait_for(cluster.client.refused.wait(), PATIENCE)
    await settle()
    assert "binding rejected: the disk is full" in (await cluster.events("FailedScheduling"))[0]
    cluster.clock.advance(1)
    assert await cluster.bound("p") == "a"


async def test_a_scheduler_that_was_cancelled_goes_on_where_it_stopped(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    await cluster.add_pod("first", requests={"cpu": "1"})
    await cluster.bound("first")
    await cluster.stop()
    await cluster.add_pod("second")
    cluster.start()
    assert await cluster.bound("second") == "a"


async def test_many_pods_are_spread_and_no_node_is_overfilled(cluster: Cluster) -> None:
    for name in "abc":
        await cluster.add_node(name, cpu="1")
    names = [f"p{number}" for number in range(30)]
    await asyncio.gather(*(cluster.add_pod(name, requests={"cpu": "100m"}) for name in names))
    places = [await cluster.bound(name) for name in names]
    assert sorted(places.count(name) for name in "abc") == [10, 10, 10]
    await cluster.add_pod("late", requests={"cpu": "100m"})
    assert "3 Insufficient cpu" in await cluster.rejected("late")
