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
from podium.api.types.resources import (
    EVENTS,
    EVENTS_V1,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
    Resource,
)
from podium.api.types.storage import SELECTED_NODE
from podium.client.events import EventRecorder
from podium.client.factory import InformerFactory
from podium.control.scheduler import Scheduler, read_config

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


PACKING = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  pluginConfig:
  - {name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}
"""


class Cluster:
    """A server, its informers, and a scheduler with two profiles that runs."""

    def __init__(self, server: ApiServer) -> None:
        self.client = FailingClient(server.client)
        self.clock = FakeClock()
        self.informers = InformerFactory(self.client)
        self.pods = self.informers.informer(PODS)
        self.recorder = EventRecorder(self.client, "default-scheduler")
        self.scheduler = Scheduler(
            self.client,
            self.informers,
            lambda name: self.recorder,
            config=read_config(PACKING),
            clock=self.clock,
        )
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

    async def add_priority(self, name: str, value: int) -> None:
        await self.client.create(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})

    async def add_class(self, name: str, provisioner: str) -> None:
        made = {"metadata": {"name": name}, "provisioner": provisioner}
        await self.client.create(STORAGE_CLASSES, made | {"volumeBindingMode": "WaitForFirstConsumer"})

    async def add_volume(self, name: str) -> None:
        """One that is available, of class `late`."""
        spec = {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "late",
            "hostPath": {"path": "/tmp"},
        }
        await self.client.create(PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": spec})
        status = {"status": {"phase": "Available"}}
        await self.client.patch(PERSISTENT_VOLUMES, name, status, subresource="status")

    async def seen(self, resource: Resource, holds: Callable[[Obj], object]) -> Obj:
        """The first object of a kind that `holds` is true of."""
        found: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()

        def changed(_: Obj | None, new: Obj | None) -> None:
            if new is not None and holds(new) and not found.done():
                found.set_result(new)

        self.informers.informer(resource).add_handler(changed)
        return await asyncio.wait_for(found, PATIENCE)

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
    made.informers.start()
    made.start()
    yield made
    await made.stop()
    await made.informers.stop()
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
    assert (await cluster.events("FailedScheduling")) == [
        'running Bind plugin "DefaultBinder": the disk is full'
    ]
    assert (meta.condition(cluster.pods.get("p", "default") or {}, "PodScheduled") or {})["reason"] == (
        "SchedulerError"
    )
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


async def test_a_more_important_pod_displaces_a_lesser_one(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    await cluster.add_priority("urgent", 1000)
    await cluster.add_pod("low", requests={"cpu": "1"}, terminationGracePeriodSeconds=30)
    await cluster.bound("low")
    await cluster.add_pod("high", requests={"cpu": "1"}, priorityClassName="urgent")
    low = await cluster.pod("low", meta.deleting)
    condition = meta.condition(low, "DisruptionTarget") or {}
    assert (condition["status"], condition["reason"]) == ("True", "PreemptionByScheduler")
    assert condition["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
    high = await cluster.pod("high", lambda entry: (entry.get("status") or {}).get("nominatedNodeName"))
    assert high["status"]["nominatedNodeName"] == "a"
    uid = high["metadata"]["uid"]
    assert await cluster.events("Preempted") == [f"Preempted by pod {uid} on node a"]
    await cluster.client.delete(PODS, "low", "default", grace_seconds=0)
    assert await cluster.bound("high") == "a"
    high = await cluster.client.get(PODS, "high", "default")
    assert "nominatedNodeName" not in high["status"]
    assert (await cluster.events("FailedScheduling"))[0] == "0/1 nodes are available: 1 Insufficient cpu."


async def test_events_go_through_the_new_group_and_repeats_are_a_series(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_pod("p")
    await cluster.bound("p")
    await cluster.events("Scheduled")
    found = await cluster.client.list(EVENTS_V1, "default")
    (event,) = [entry for entry in found.items if entry["reason"] == "Scheduled"]
    assert (event["action"], event["reportingController"]) == ("Binding", "default-scheduler")
    assert event["note"] == "Successfully assigned default/p to a"
    assert event["regarding"]["name"] == "p"


def _claim(name: str, **spec: Any) -> Obj:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    meta_ = {"name": name, "namespace": "default"}
    return {"metadata": meta_, "spec": {**asked, "storageClassName": "late", **spec}}


async def _complete(cluster: Cluster, claim: Obj, volume: str) -> None:
    """What the volume controller does."""
    patch = {
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": volume},
    }
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, claim["metadata"]["name"], patch, "default")


async def test_a_claim_is_bound_to_a_volume_of_the_chosen_node_before_the_pod_is(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_class("late", "kubernetes.io/no-provisioner")
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, _claim("data"))
    await cluster.add_pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    message = await cluster.rejected("p")
    assert "1 node(s) didn't find available persistent volumes to bind" in message
    await cluster.add_volume("v")
    volume = await cluster.seen(PERSISTENT_VOLUMES, lambda entry: entry["spec"].get("claimRef"))
    assert volume["spec"]["claimRef"]["name"] == "data"
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] == "yes"
    waiting = await cluster.client.get(PODS, "p", "default")
    assert "nodeName" not in waiting["spec"]
    assert waiting["status"]["nominatedNodeName"] == "a"
    await _complete(cluster, _claim("data"), "v")
    assert await cluster.bound("p") == "a"


async def test_a_claim_is_provisioned_for_the_chosen_node_and_a_failure_starts_over(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_class("late", "example.com/disks")
    claim = await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, _claim("data"))
    await cluster.add_pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])

    def selected(entry: Obj) -> object:
        return (entry["metadata"].get("annotations") or {}).get(SELECTED_NODE) == "a"

    await cluster.seen(PERSISTENT_VOLUME_CLAIMS, selected)
    await settle()
    gone = {"metadata": {"annotations": {SELECTED_NODE: None}}}
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", gone, "default")
    assert "provisioning failed for PVC" in await cluster.rejected("p")
    cluster.clock.advance(1)
    await cluster.seen(PERSISTENT_VOLUME_CLAIMS, selected)
    await _complete(cluster, claim, "made")
    assert await cluster.bound("p") == "a"


async def test_claims_that_are_not_bound_in_time_are_given_up(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_class("late", "example.com/disks")
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, _claim("data"))
    await cluster.add_pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    await cluster.seen(
        PERSISTENT_VOLUME_CLAIMS,
        lambda entry: (entry["metadata"].get("annotations") or {}).get(SELECTED_NODE),
    )
    await settle()
    cluster.clock.advance(600)
    assert await cluster.rejected("p") == (
        'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
    )


async def test_each_pod_is_placed_as_its_profile_says(cluster: Cluster) -> None:
    await cluster.add_node("a")
    await cluster.add_pod("first", requests={"cpu": "1"}, nodeName="a")
    await cluster.bound("first")
    await cluster.add_node("b")
    await cluster.add_pod("packed", requests={"cpu": "1"}, schedulerName="packing")
    assert await cluster.bound("packed") == "a"
    await cluster.add_pod("spread", requests={"cpu": "1"})
    assert await cluster.bound("spread") == "b"


async def test_a_pod_whose_claim_is_waited_for_is_sent_back_and_not_deleted(cluster: Cluster) -> None:
    await cluster.add_node("a", cpu="1")
    await cluster.add_class("late", "example.com/disks")
    await cluster.add_priority("urgent", 1000)
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, _claim("data"))
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    await cluster.add_pod("low", volumes=volumes, requests={"cpu": "1"})
    await cluster.pod("low", lambda entry: (entry.get("status") or {}).get("nominatedNodeName") == "a")
    await settle()
    await cluster.add_pod("high", requests={"cpu": "1"}, priorityClassName="urgent")
    assert await cluster.bound("high") == "a"
    cluster.clock.advance(1)
    assert "1 Insufficient cpu" in await cluster.rejected("low")
    assert "deletionTimestamp" not in (cluster.pods.get("low", "default") or {})["metadata"]
    (message,) = await cluster.events("Preempted")
    assert message.endswith("on node a (in kube-scheduler memory).")
