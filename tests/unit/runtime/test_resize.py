"""Real containers are given more and less while they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from podium.api.types import Obj
from podium.api.types.resources import NODES, PODS
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.making import container, pod
from tests.unit.runtime.world import World

pytestmark = needs_root


def amounts(cpu: str, memory: str) -> Obj:
    return {key: {"cpu": cpu, "memory": memory} for key in ("requests", "limits")}


def settled(of: Obj) -> bool:
    kinds = {each["type"] for each in of["status"].get("conditions") or ()}
    status = of["status"]
    return (
        status.get("observedGeneration") == of["metadata"].get("generation")
        and not kinds & {"PodResizePending", "PodResizeInProgress"}
        and all(each["ready"] for each in status.get("containerStatuses") or ())
    )


def condition(of: Obj, kind: str) -> Obj | None:
    return next((each for each in of["status"].get("conditions") or () if each["type"] == kind), None)


async def resize(world: World, name: str, **resources: Obj) -> Obj:
    """Asks for other resources of containers by name."""
    changed = [{"name": each, "resources": value} for each, value in resources.items()]
    patch = {"spec": {"containers": changed}}
    return await world.client.patch(PODS, name, patch, "default", kind="strategic", subresource="resize")


async def begun(world: World, **of_container: Any) -> Obj:
    await world.run("p", "sleep", "1000", **of_container)
    return await world.until("p", settled)


def limit(world: World, of: Obj, name: str = "") -> tuple[int, int]:
    """(quota, memory) that the kernel holds a container, or the whole pod, to."""
    cgroups = world.daemon.pods.cgroups
    path = cgroups.pod(of)
    if name:
        status = next(each for each in of["status"]["containerStatuses"] if each["name"] == name)
        path = cgroups.container(of, status["containerID"].removeprefix("containerd://"))
    cpu = Path("/sys/fs/cgroup/cpu") / path.lstrip("/") / "cpu.cfs_quota_us"
    memory = Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.limit_in_bytes"
    return int(cpu.read_text()), int(memory.read_text())


async def test_a_container_gets_more_and_less_without_a_restart(world: World) -> None:
    before = await begun(world, resources=amounts("100m", "50Mi"))
    assert limit(world, before, "c") == (10_000, 50 << 20)
    for cpu, memory, held in (("200m", "90Mi", (20_000, 90 << 20)), ("50m", "40Mi", (5_000, 40 << 20))):
        await resize(world, "p", c=amounts(cpu, memory))
        after = await world.until("p", settled)
        (status,) = after["status"]["containerStatuses"]
        assert limit(world, after, "c") == limit(world, after) == held
        assert status["resources"] == amounts(cpu, memory)
        assert status["allocatedResources"] == {"cpu": cpu, "memory": memory}
        assert status["restartCount"] == 0
        assert status["containerID"] == before["status"]["containerStatuses"][0]["containerID"]
    message = await world.until_event("p", "ResizeCompleted")
    assert message.startswith('Pod resize completed: {"containers":[{"name":"c","resources":{"limits":{"cpu"')


async def test_a_container_that_wants_it_is_restarted_with_what_it_gets(world: World) -> None:
    """However it ends: this one takes its end well, and would not be started again after it."""
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    await world.run(
        "p", "sh", "-c", "trap exit TERM; sleep 1000 & wait",
        resources=amounts("100m", "50Mi"), resizePolicy=policy, spec={"restartPolicy": "OnFailure"},
    )  # fmt: skip
    await world.until("p", settled)
    await resize(world, "p", c=amounts("100m", "60Mi"))
    restarted = lambda of: settled(of) and of["status"]["containerStatuses"][0]["restartCount"] == 1  # noqa: E731
    after = await world.until("p", restarted)
    assert limit(world, after, "c") == limit(world, after) == (10_000, 60 << 20)
    assert await world.until_event("p", "Killing") == "Container c resize requires restart"


async def test_memory_in_use_stays_and_the_pod_says_so_until_it_is_free(world: World) -> None:
    script = "dd if=/dev/zero of=/dev/shm/x bs=1000000 count=40; touch /full; sleep 1000"
    probe = {"exec": {"command": ["ls", "/full"]}, "periodSeconds": 1}
    await world.run("p", "sh", "-c", script, resources=amounts("100m", "100Mi"), readinessProbe=probe)
    await world.until("p", settled)
    await resize(world, "p", c=amounts("100m", "20Mi"))
    failing = await world.until(
        "p", lambda of: (condition(of, "PodResizeInProgress") or {}).get("reason") == "Error"
    )
    found = condition(failing, "PodResizeInProgress")
    assert found is not None
    assert (
        "cannot decrease memory limits: [attempting to set pod memory limit (20971520) below"
        in found["message"]
    )
    (status,) = failing["status"]["containerStatuses"]
    assert (status["allocatedResources"]["memory"], status["resources"]["limits"]["memory"]) == (
        "20Mi",
        "100Mi",
    )
    await resize(world, "p", c=amounts("100m", "100Mi"))
    after = await world.until("p", settled)
    assert limit(world, after, "c")[1] == 100 << 20


async def test_a_resize_waits_for_room_and_outlives_the_daemon(world: World) -> None:
    node = await world.client.get(NODES, "n1")
    cpus = int(node["status"]["allocatable"]["cpu"])
    half = f"{cpus * 500}m"
    await world.create(
        pod(
            container(command=["sleep", "1000"], resources=amounts(half, "10Mi")),
            name="o",
            nodeName="n1",
            terminationGracePeriodSeconds=1,
        )
    )
    await world.until("o", settled)
    await begun(world, resources=amounts("100m", "20Mi"))
    wanted = f"{cpus * 500 + 100}m"
    await resize(world, "p", c=amounts(wanted, "20Mi"))
    waiting = await world.until("p", lambda of: condition(of, "PodResizePending") is not None)
    found = condition(waiting, "PodResizePending")
    assert found is not None
    assert (found["reason"], found["observedGeneration"]) == ("Deferred", waiting["metadata"]["generation"])
    assert found["message"] == (
        f"Node didn't have enough resource: cpu, requested: {cpus * 500 + 100}, used: {cpus * 500}, "
        f"capacity: {cpus * 1000}"
    )
    assert waiting["status"]["containerStatuses"][0]["allocatedResources"]["cpu"] == "100m"
    await world.stop()
    await world.start()
    again = await world.client.get(PODS, "p", "default")
    assert again["status"]["containerStatuses"][0]["allocatedResources"]["cpu"] == "100m"
    assert limit(world, again, "c")[0] == 10_000
    await world.delete("o")
    after = await world.until("p", settled)
    assert limit(world, after, "c")[0] == cpus * 50_000 + 10_000
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_a_pod_as_a_whole_is_resized(world: World) -> None:
    spec = {"resources": amounts("200m", "60Mi")}
    await world.run("p", "sleep", "1000", spec=spec)
    before = await world.until("p", settled)
    assert before["status"]["qosClass"] == "Guaranteed"
    assert limit(world, before) == limit(world, before, "c") == (20_000, 60 << 20)
    patch = {"spec": {"resources": amounts("300m", "80Mi")}}
    await world.client.patch(PODS, "p", patch, "default", kind="strategic", subresource="resize")
    after = await world.until("p", settled)
    assert limit(world, after) == limit(world, after, "c") == (30_000, 80 << 20)
    assert after["status"]["resources"] == amounts("300m", "80Mi")
    assert after["status"]["allocatedResources"] == {"cpu": "300m", "memory": "80Mi"}


async def test_pods_share_the_cpu_by_their_class(world: World) -> None:
    await world.run("p", "sleep", "1000", resources={"requests": {"cpu": "300m"}})
    of = await world.until("p", settled)
    await world.daemon.pods.balanced()
    folder = Path("/sys/fs/cgroup/cpu") / world.daemon.pods.cgroups.pod(of).lstrip("/")
    assert (folder.parent / "cpu.shares").read_text() == "307\n"
    assert (folder.parent.parent / "besteffort" / "cpu.shares").read_text() == "2\n"
