"""Static pods on a real containerd, with an API server that is there or is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.runtime.daemon import NodeDaemon
from podium.runtime.interfaces import PodView
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.making import container
from tests.unit.runtime.world import PATIENCE, World, ready

pytestmark = needs_root


def manifest(name: str, *command: str, **spec: object) -> str:
    more = {"terminationGracePeriodSeconds": 2, "hostNetwork": True, **spec}
    main = container(command=list(command or ("sleep", "1000")), imagePullPolicy="Never")
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [main], **more},
        }
    )


def write(world: World, name: str, text: str) -> Path:
    folder = world.config.manifests_folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


async def until(look: Callable[[], bool]) -> None:
    """Returns when it is so. A daemon tells nobody but the API server how far it is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if look():
                return
            await asyncio.sleep(0.05)


def runs(view: PodView | None) -> bool:
    return any(
        each.state == "running"
        for attempts in (view.containers.values() if view else ())
        for each in attempts
    )


async def mirror(world: World) -> Obj | None:
    try:
        return await world.client.get(PODS, "web-n1", "default")
    except StatusError:
        return None


async def test_a_static_pod_does_not_wait_for_the_api_server(world: World) -> None:
    await world.stop()
    path = write(world, "web", manifest("web"))
    never = asyncio.Event()
    await world._volumes.start()
    daemon = NodeDaemon(
        world.config, world.client, world._network, world._volumes, reachable=lambda: waiting(never)
    )
    running = asyncio.create_task(daemon.run())
    try:
        await until(lambda: runs(daemon.pods.view("default", "web-n1")))
        assert await mirror(world) is None
        path.unlink()
        await until(lambda: daemon.pods.view("default", "web-n1") is None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.start()


async def waiting(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_static_pod_is_shown_goes_on_without_its_daemon_and_ends_with_its_file(world: World) -> None:
    path = write(world, "web", manifest("web"))
    shown = await world.until("web-n1", ready)
    before = world.container("web-n1")
    await world.stop()
    await world.start()
    assert world.container("web-n1").id == before.id
    assert shown["status"]["containerStatuses"][0]["restartCount"] == 0
    path.unlink()
    await world.until_gone("web-n1")
    assert world.daemon.pods.view("default", "web-n1") is None


async def test_a_file_that_changed_while_no_daemon_ran_is_another_pod(world: World) -> None:
    path = write(world, "web", manifest("web"))
    await world.until("web-n1", ready)
    before = world.container("web-n1").id
    await world.stop()
    path.write_text(manifest("web", "sleep", "2000"))
    await world.start()
    await until(
        lambda: runs(world.daemon.pods.view("default", "web-n1")) and world.container("web-n1").id != before
    )
    tasks = await world.daemon.containerd.tasks.list()
    assert before not in tasks
    path.unlink()
    await world.until_gone("web-n1")
