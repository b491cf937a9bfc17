"""A real node runs short of something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import EVENTS, NODES, PODS
from podium.runtime import mounting
from podium.runtime.archive import load
from podium.runtime.eviction.thresholds import BadThreshold, Eviction
from podium.runtime.imagegc import ImageCollector
from podium.runtime.node.enforcing import Enforcement
from podium.runtime.nodeapi.usage import memory_capacity
from podium.runtime.pulling.garbage import ImageGarbage
from podium.runtime.pulling.records import PullRecords
from tests.unit.runtime import busybox
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.world import World

pytestmark = needs_root

MB = 1 << 20
PODS_MEMORY = 200 * MB
SPARE = "docker.io/library/spare:latest"


async def begin_again(world: World, **config: Any) -> None:
    await world.stop()
    world.config = replace(world.config, **config)
    await world.start()


def running(of: Obj) -> bool:
    return all("running" in each["state"] for each in of["status"]["containerStatuses"])


def torn_down(of: Obj) -> bool:
    conditions = {each["type"]: each["status"] for each in of["status"].get("conditions") or ()}
    return bool(of["status"]["phase"] == "Succeeded") and conditions["PodReadyToStartContainers"] == "False"


def ended(of: Obj) -> bool:
    return bool(of["status"]["phase"] == "Failed")


async def until_pressed(world: World, kind: str, status: str) -> Obj:
    """The node once a condition is so."""
    listed = await world.client.list(NODES)
    async with asyncio.timeout(20):
        nodes = list(listed.items)
        stream = world.client.watch(NODES, resource_version=listed.resource_version)
        while True:
            for node in nodes:
                found = {each["type"]: each for each in node["status"].get("conditions") or ()}
                if found.get(kind, {}).get("status") == status:
                    return node
            nodes = [(await anext(aiter(stream))).object]
    raise AssertionError(kind)


async def test_short_of_memory_the_pod_goes_that_uses_most_beyond_what_it_asked_for(world: World) -> None:
    """The node gives its pods 200 MiB in all and wants half of that free: the kernel says when it is not."""
    reserved = memory_capacity() - PODS_MEMORY
    await begin_again(
        world,
        system_reserved=f"memory={reserved}",
        eviction=Eviction(hard="memory.available<100Mi", transition=1.0),
    )
    await world.run("modest", "sleep", "1000", resources={"requests": {"memory": "20Mi"}})
    await world.run("critical", "sleep", "1000", spec={"priorityClassName": "system-node-critical"})
    await world.until("modest", running)
    await world.until("critical", running)
    memory: Obj = {"volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]}
    await world.run(
        "greedy", "sh", "-c", "sleep 0.3; dd if=/dev/zero of=/m/x bs=1000000 count=120; sleep 1000",
        spec=memory, volumeMounts=[{"name": "m", "mountPath": "/m"}],
    )  # fmt: skip
    of = await world.until("greedy", ended)
    status = of["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: "
    )
    assert "Container c was using" in status["message"]
    assert status["message"].endswith("request is 0, has larger consumption of memory. ")
    (condition,) = [each for each in status["conditions"] if each["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
    assert condition["message"] == status["message"]
    assert await world.until_event("greedy", "Evicted") == status["message"]
    events = await world.client.list(EVENTS, "default")
    assert "Attempting to reclaim memory" in {each["message"] for each in events.items}
    for name in ("modest", "critical"):
        assert running(await world.client.get(PODS, name, "default"))


async def test_short_of_process_ids_the_pods_go_that_have_most(world: World) -> None:
    await world.run("modest", "sleep", "1000")
    await world.run("greedy", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait")
    for name in ("modest", "greedy"):
        await world.until(name, running)
    kernel = Path("/proc/sys/kernel")
    most = min(int((kernel / name).read_text()) for name in ("pid_max", "threads-max"))
    settings = Eviction(hard=f"pid.available<{most - 1}", period=0.2)
    await begin_again(world, eviction=settings)
    gone = [(await world.until(name, ended))["status"] for name in ("greedy", "modest")]
    for status in gone:
        assert status["reason"] == "Evicted"
        assert status["message"].startswith("The node was low on resource: pids. Threshold quantity: ")
    first, second = (
        next(each for each in status["conditions"] if each["type"] == "DisruptionTarget") for status in gone
    )
    assert first["lastTransitionTime"] <= second["lastTransitionTime"]
    await until_pressed(world, "PIDPressure", "True")
    await world.run("late", "sleep", "1000")
    of = await world.until("late", ended)
    assert of["status"]["message"] == "Pod was rejected: The node had condition: [PIDPressure]. "


async def test_at_a_soft_threshold_pods_get_their_time_when_the_grace_is_over(world: World) -> None:
    await world.run("polite", "sh", "-c", "trap 'sleep 1; exit 3' TERM; sleep 1000 & wait")
    await world.until("polite", running)
    soft = f"memory.available<{memory_capacity() - 1}"
    settings = Eviction(hard="", soft=soft, soft_grace="memory.available=500ms", max_grace=20, period=0.2)
    await begin_again(world, eviction=settings)
    status = (await world.until("polite", ended))["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith("The node was low on resource: memory. Threshold quantity: ")
    # A hard one would have left it a second, and killed it.
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_under_memory_pressure_no_pod_comes_in_that_asks_for_nothing(world: World) -> None:
    threshold = f"memory.available<{memory_capacity() - 1}"
    await world.stop()
    world.config = replace(
        world.config, eviction=Eviction(soft=threshold, hard="", soft_grace="memory.available=1h")
    )
    await world.start()
    await until_pressed(world, "MemoryPressure", "True")
    await world.run("cheap", "sleep", "1000")
    of = await world.until("cheap", ended)
    assert of["status"]["reason"] == "Evicted"
    assert of["status"]["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    await world.run("sized", "sleep", "1000", resources={"requests": {"memory": "1Mi"}})
    await world.until("sized", running)


@pytest.fixture
async def small_disk(world: World) -> AsyncIterator[World]:
    """The node's folder is a file system of 64 MiB."""
    await world.stop()
    folder = world.config.data_dir
    folder.mkdir(exist_ok=True)
    mounting.mount("tmpfs", str(folder), "tmpfs", 0, "size=64m")
    await world.start()
    yield world
    await world.stop()
    await world.clear()
    mounting.unmount(folder)


async def test_short_of_disk_the_pod_goes_that_wrote_most(small_disk: World) -> None:
    world = small_disk
    await begin_again(world, eviction=Eviction(hard="nodefs.available<40Mi", transition=0.5, period=0.2))
    volumes: Obj = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mounts = [{"name": "v", "mountPath": "/v"}]
    await world.run("modest", "sleep", "1000", spec=volumes, volumeMounts=mounts)
    await world.until("modest", running)
    await world.run(
        "greedy", "sh", "-c", "dd if=/dev/zero of=/v/x bs=1000000 count=30; sleep 1000",
        spec=volumes, volumeMounts=mounts,
    )  # fmt: skip
    await world.until("greedy", running)
    of = await world.until("greedy", ended)
    assert of["status"]["message"].startswith(
        "The node was low on resource: ephemeral-storage. Threshold quantity: 40Mi"
    )
    await until_pressed(world, "DiskPressure", "False")
    assert running(await world.client.get(PODS, "modest", "default"))


class Clock:
    """As late as it is told to be."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def test_images_without_pods_go_when_they_have_been_here_for_a_while(
    world: World, tmp_path: Path
) -> None:
    containerd, clock = world.daemon.containerd, Clock()
    settings = ImageGarbage(high=100)
    collector = ImageCollector(
        settings, containerd, PullRecords(tmp_path / "records"), world.daemon.recorder, "n1",
        used=world.daemon.pods.images_in_use, room=lambda: (100, 50), now=clock,
    )  # fmt: skip
    busybox.write(tmp_path / "spare.tar", "spare", Cmd=["true"], Env=["SPARE=1"])
    await load(containerd, tmp_path / "spare.tar")
    await world.run("p", "sleep", "1000")
    await world.until("p", running)
    assert await collector.remove_unused() == 0
    clock.ahead = timedelta(seconds=settings.minimum_age + 1)
    assert await collector.remove_unused() >= 1
    names = {image.name for image in await containerd.images.list()}
    assert SPARE not in names
    assert "docker.io/library/busybox:latest" in names
    assert running(await world.client.get(PODS, "p", "default"))


async def test_that_all_pods_are_held_to_what_is_theirs_is_told(world: World) -> None:
    assert await world.until_event("n1", "NodeAllocatableEnforced") == (
        "Updated Node Allocatable limit across pods"
    )


async def test_limits_that_the_kernel_refuses_are_told_and_tried_again(world: World) -> None:
    refusals = [OSError(16, "Device or resource busy")]

    def limits() -> None:
        if refusals:
            raise refusals.pop()

    enforcement = Enforcement(limits, "kubepods", world.daemon.recorder, "n1")
    assert not await enforcement.attempt()
    await enforcement.insist()
    message = await world.until_event("n1", "FailedNodeAllocatableEnforcement")
    assert message.startswith('Failed to update Node Allocatable Limits ["kubepods"]: ')


async def test_what_is_left_of_pods_that_are_over_goes_when_room_is_needed(world: World) -> None:
    await world.run("p", "true", spec={"restartPolicy": "Never"})
    of = await world.until("p", torn_down)
    (before,) = of["status"]["containerStatuses"]
    await world.daemon.pods.remove_dead()
    left = await world.daemon.containerd.containers.list()
    assert before["containerID"].removeprefix("containerd://") not in {each.id for each in left}
    (after,) = (await world.client.get(PODS, "p", "default"))["status"]["containerStatuses"]
    assert after["state"] == before["state"]


async def test_reservations_are_taken_from_what_pods_can_ask_for(world: World) -> None:
    before = await world.client.get(NODES, "n1")
    await begin_again(
        world, kube_reserved="cpu=100m,memory=64Mi", system_reserved="cpu=200m", eviction=Eviction(hard="")
    )
    after = await world.client.get(NODES, "n1")
    whole, left = after["status"]["capacity"], after["status"]["allocatable"]
    assert left["cpu"] == f"{int(whole['cpu']) * 1000 - 300}m"
    assert int(whole["memory"][:-2]) - int(left["memory"][:-2]) == 64 << 10
    was = before["status"]
    assert int(was["capacity"]["memory"][:-2]) - int(was["allocatable"]["memory"][:-2]) == 100 << 10


async def test_more_than_there_is_cannot_be_reserved(world: World) -> None:
    with pytest.raises(BadThreshold, match='Resource "memory" has a reservation of'):
        await begin_again(world, kube_reserved=f"memory={memory_capacity()}")
    world.config = replace(world.config, kube_reserved="")
    await world.start()
