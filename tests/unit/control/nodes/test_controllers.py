"""The node controllers against a real API server in this process, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from podium.api.server import ApiServer
from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import EVENTS, LEASES, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, Resource
from podium.client.factory import InformerFactory
from podium.control.controller import Context, utc_now
from podium.control.nodes import NodeIpam, NodeLifecycle, Patience, TaintEviction
from podium.control.nodes.lifecycle import LEASE_NAMESPACE

from ...clock import FakeClock, settle
from ...frozen import FrozenClient

PATIENCE = 20.0
MONITOR_GRACE = Patience().monitor


class Rig:
    def __init__(self, server: ApiServer) -> None:
        self.client = FrozenClient(server.client)
        self.clock = FakeClock()
        self.ahead = timedelta()
        self.informers = InformerFactory(self.client)
        self.context = Context(self.client, self.informers, self.clock, lambda: utc_now() + self.ahead)
        controllers = [
            NodeIpam(self.context, "10.42.0.0/16"),
            NodeLifecycle(self.context),
            TaintEviction(self.context),
        ]
        self.informers.start()
        self.tasks = [asyncio.create_task(controller.run()) for controller in controllers]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.informers.stop()
        await self.context.close()

    async def until(self, resource: Resource, name: str, holds: Callable[[Obj | None], object]) -> Obj:
        """The object, once `holds` is true of it; an empty one for an object that is gone."""
        seen: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()

        def changed(old: Obj | None, new: Obj | None) -> None:
            about = new or old
            if about is not None and meta.name_of(about) == name and holds(new) and not seen.done():
                seen.set_result(new or {})

        self.informers.informer(resource).add_handler(changed)
        return await asyncio.wait_for(seen, PATIENCE)

    async def add_node(self, name: str, **spec: Any) -> None:
        await self.client.create(NODES, {"metadata": {"name": name}, "spec": spec})
        await self.report(name, "True")

    async def report(self, name: str, ready: str) -> None:
        beat = meta.timestamp(utc_now() + self.ahead)
        condition = {
            "type": "Ready",
            "status": ready,
            "lastHeartbeatTime": beat,
            "reason": f"at {self.clock.time()}",
        }
        status = {"conditions": [condition]}
        await self.client.patch(NODES, name, {"status": status}, kind="strategic", subresource="status")

    async def add_pod(self, name: str, node: str, **spec: Any) -> None:
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "x"}], **spec}
        await self.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        condition = {"type": "Ready", "status": "True"}
        status = {"status": {"phase": "Running", "conditions": [condition]}}
        await self.client.patch(PODS, name, status, "default", kind="strategic", subresource="status")
        await self.until(PODS, name, lambda pod: pod is not None and meta.condition_is_true(pod, "Ready"))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    server = ApiServer()
    await server.start()
    for resource, obj in (
        (NAMESPACES, {"metadata": {"name": LEASE_NAMESPACE}}),
        (SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}}),
    ):
        with contextlib.suppress(StatusError):
            await server.client.create(resource, obj)
    made = Rig(server)
    yield made
    await made.close()
    await server.close()


def taints(node: Obj | None) -> set[tuple[str, str]]:
    entries = ((node or {}).get("spec") or {}).get("taints") or ()
    return {(entry["key"].removeprefix("node.kubernetes.io/"), entry["effect"]) for entry in entries}


def ready(node: Obj | None) -> str:
    return str((meta.condition(node or {}, "Ready") or {}).get("status"))


async def test_each_node_gets_a_range_that_nobody_holds(rig: Rig) -> None:
    await rig.client.create(NODES, {"metadata": {"name": "held"}, "spec": {"podCIDR": "10.42.0.0/24"}})
    await rig.add_node("new")
    node = await rig.until(NODES, "new", lambda entry: entry and entry["spec"].get("podCIDR"))
    assert (node["spec"]["podCIDR"], node["spec"]["podCIDRs"]) == ("10.42.1.0/24", ["10.42.1.0/24"])


async def test_a_node_that_becomes_ready_loses_its_taints(rig: Rig) -> None:
    await rig.client.create(NODES, {"metadata": {"name": "a"}})
    await rig.until(NODES, "a", lambda entry: taints(entry) == {("not-ready", "NoSchedule")})
    await rig.report("a", "True")
    await rig.until(NODES, "a", lambda entry: ready(entry) == "True" and not taints(entry))
    await rig.client.patch(NODES, "a", {"spec": {"unschedulable": True}}, kind="merge")
    await rig.until(NODES, "a", lambda entry: taints(entry) == {("unschedulable", "NoSchedule")})


async def test_a_silent_node_becomes_unknown_and_its_pods_unready_then_evicted(rig: Rig) -> None:
    for name in ("silent", "well"):
        await rig.add_node(name)
        await rig.until(NODES, name, lambda entry: ready(entry) == "True" and not taints(entry))
    borne = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    patient: list[dict[str, Any]] = [{**borne, "tolerationSeconds": 300}]
    await rig.add_pod("patient", "silent", tolerations=patient)
    await settle()
    rig.clock.advance(MONITOR_GRACE - 1)
    lease = {
        "metadata": {"name": "well", "namespace": LEASE_NAMESPACE},
        "spec": {"renewTime": meta.micro_timestamp()},
    }
    await rig.client.create(LEASES, lease)
    await rig.until(LEASES, "well", bool)
    rig.clock.advance(2)
    node = await rig.until(NODES, "silent", lambda entry: len(taints(entry)) == 2)
    assert taints(node) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
    assert (meta.condition(node, "Ready") or {})["reason"] == "NodeStatusUnknown"
    await rig.until(PODS, "patient", lambda pod: pod is not None and not meta.condition_is_true(pod, "Ready"))
    assert ready(await rig.client.get(NODES, "well")) == "True"
    await settle()
    rig.ahead = timedelta(seconds=301)
    rig.clock.advance(301)
    await rig.until(PODS, "patient", lambda pod: pod is None or meta.deleting(pod))


async def test_when_every_node_is_silent_no_pod_is_evicted(rig: Rig) -> None:
    await rig.add_node("only")
    await rig.until(NODES, "only", lambda entry: ready(entry) == "True" and not taints(entry))
    await rig.add_pod("p", "only")
    await settle()
    rig.clock.advance(MONITOR_GRACE + 1)
    await rig.until(NODES, "only", lambda entry: ("unreachable", "NoSchedule") in taints(entry))
    await settle()
    assert taints(await rig.client.get(NODES, "only")) == {("unreachable", "NoSchedule")}
    assert not meta.deleting(await rig.client.get(PODS, "p", "default"))


async def test_a_no_execute_taint_evicts_at_once_whom_it_is_not_tolerated_by(rig: Rig) -> None:
    await rig.add_node("a")
    await rig.until(NODES, "a", lambda entry: ready(entry) == "True" and not taints(entry))
    await rig.add_pod("tolerant", "a", tolerations=[{"operator": "Exists"}])
    await rig.add_pod("intolerant", "a")
    taint = {"key": "k", "effect": "NoExecute"}
    await rig.client.patch(NODES, "a", {"spec": {"taints": [taint]}}, kind="merge")
    await rig.until(PODS, "intolerant", lambda pod: pod is None or meta.deleting(pod))
    assert not meta.deleting(await rig.client.get(PODS, "tolerant", "default"))


async def test_of_two_nodes_that_fall_silent_the_second_is_given_up_later(rig: Rig) -> None:
    for name in ("a", "b", "well"):
        await rig.add_node(name)
        await rig.until(NODES, name, lambda entry: ready(entry) == "True" and not taints(entry))
    await settle()
    rig.clock.advance(20)
    await rig.report("a", "Unknown")
    await rig.until(NODES, "a", lambda entry: ("unreachable", "NoExecute") in taints(entry))
    await rig.report("b", "False")
    await rig.until(NODES, "b", lambda entry: taints(entry) == {("not-ready", "NoSchedule")})
    await settle()
    rig.clock.advance(10.1)
    await rig.until(NODES, "b", lambda entry: ("not-ready", "NoExecute") in taints(entry))
    # What drives pods out already changes its name at once.
    await rig.report("b", "Unknown")
    await rig.until(NODES, "b", lambda entry: ("unreachable", "NoExecute") in taints(entry))


async def test_a_node_that_flaps_loses_none_of_its_patient_pods(rig: Rig) -> None:
    for name in ("flaps", "well"):
        await rig.add_node(name)
        await rig.until(NODES, name, lambda entry: ready(entry) == "True" and not taints(entry))
    borne = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    keys = [f"node.kubernetes.io/{key}" for key in ("not-ready", "unreachable")]
    await rig.add_pod("patient", "flaps", tolerations=[{**borne, "key": key} for key in keys])
    for turn in range(40):
        status = ("False", "True")[turn % 2]
        await rig.report("flaps", status)
        await rig.report("well", "True")
        await rig.until(NODES, "flaps", lambda entry, status=status: ready(entry) == status)  # type: ignore[misc]
        await settle()
        rig.ahead += timedelta(seconds=5)
        rig.clock.advance(5)
    await rig.until(NODES, "flaps", lambda entry: not taints(entry))
    await settle()
    assert not meta.deleting(await rig.client.get(PODS, "patient", "default"))


async def test_old_names_of_labels_say_what_the_new_ones_do(rig: Rig) -> None:
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "beta.kubernetes.io/arch": "arm"}
    await rig.client.create(NODES, {"metadata": {"name": "a", "labels": labels}})
    wanted = {"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64"}
    await rig.until(NODES, "a", lambda entry: entry and entry["metadata"]["labels"] == labels | wanted)


async def test_an_eviction_that_is_called_off_is_told(rig: Rig) -> None:
    await rig.add_node("a")
    await rig.until(NODES, "a", lambda entry: ready(entry) == "True" and not taints(entry))
    borne = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    await rig.add_pod("patient", "a", tolerations=[borne])
    taint = {"key": "k", "effect": "NoExecute"}
    await rig.client.patch(NODES, "a", {"spec": {"taints": [taint]}}, kind="merge")
    await rig.until(NODES, "a", taints)
    await settle()
    await rig.client.patch(NODES, "a", {"spec": {"taints": None}}, kind="merge")
    event = "Cancelling deletion of Pod default/patient"
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        if event in [entry["message"] for entry in (await rig.client.list(EVENTS)).items]:
            return
        await settle()
    raise AssertionError("no such event")


async def test_a_node_for_which_no_range_is_left_is_told_once_and_gets_the_next_that_frees(rig: Rig) -> None:
    for name, held in (("low", "10.42.0.0/17"), ("high", "10.42.128.0/17")):
        await rig.client.create(NODES, {"metadata": {"name": name}, "spec": {"podCIDR": held}})
    told: asyncio.Queue[Obj] = asyncio.Queue()

    def heard(old: Obj | None, new: Obj | None) -> None:
        if new is not None and new["reason"] == "CIDRNotAvailable":
            told.put_nowait(new)

    rig.informers.informer(EVENTS).add_handler(heard)
    await rig.add_node("late")
    event = await asyncio.wait_for(told.get(), PATIENCE)
    assert event["message"] == "Node late status is now: CIDRNotAvailable"
    await rig.report("late", "False")
    await rig.client.delete(NODES, "high")
    late = await rig.until(NODES, "late", lambda node: node and node["spec"].get("podCIDR"))
    assert late["spec"]["podCIDRs"] == ["10.42.128.0/24"]
    assert told.empty()
