"""Starts that containerd did not answer: what became of them decides what is done, never a guess."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.runtime.containerd.errors import ContainerdError, Unavailable
from podium.runtime.containerd.tasks import Tasks
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.world import World, ready

pytestmark = needs_root

FOREVER = ("sleep", "1000")


def lost(call: Callable[..., Awaitable[Any]], *, done: bool) -> Callable[..., Awaitable[Any]]:
    """A call whose first answer is lost; `done` says whether it is carried out."""
    left = [1]

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        if not left:
            return await call(*arguments, **named)
        left.pop()
        if done:
            await call(*arguments, **named)
        raise Unavailable("Socket closed", "Unavailable")

    return wrapped


async def until_ready(world: World) -> int:
    """The pod's restarts once it is ready; exactly one container must be there then."""
    obj = await world.until("one", ready)
    containerd = world.daemon.containerd
    assert len(await containerd.tasks.list()) == len(await containerd.containers.list()) == 1
    return int(obj["status"]["containerStatuses"][0]["restartCount"])


async def test_a_start_that_was_done_is_taken_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = world.daemon.containerd.tasks
    monkeypatch.setattr(tasks, "start", lost(tasks.start, done=True))
    await world.run("one", *FOREVER)
    assert await until_ready(world) == 0


async def test_one_that_was_not_done_is_repeated_and_does_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = world.daemon.containerd.tasks
    monkeypatch.setattr(tasks, "create", lost(tasks.create, done=False))
    await world.run("one", *FOREVER)
    assert await until_ready(world) == 0


async def test_one_that_was_half_done_leaves_no_process_beside_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = world.daemon.containerd.tasks
    monkeypatch.setattr(tasks, "start", lost(tasks.start, done=False))
    monkeypatch.setattr(tasks, "delete", lost(tasks.delete, done=False))
    await world.run("one", *FOREVER)
    assert await until_ready(world) == 0


async def test_a_task_that_the_list_leaves_out_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.run("one", *FOREVER)
    before = await world.until("one", ready)
    looked = asyncio.Event()
    calls: list[None] = []

    async def nothing(_: Tasks) -> dict[str, Any]:
        calls.append(None)
        if len(calls) == 2:
            looked.set()
        return {}

    await world.stop()
    monkeypatch.setattr(Tasks, "list", nothing)
    await world.start()
    await looked.wait()
    await world.run("next", *FOREVER)
    await world.until("next", ready)
    view = world.container("one")
    assert view.state == "running"
    assert before["status"]["containerStatuses"][0]["containerID"] == f"containerd://{view.id}"
    monkeypatch.undo()


async def test_a_pod_that_is_deleted_while_its_container_cannot_be_started_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fails(*_: Any, **__: Any) -> int:
        begun.set()
        await go_on.wait()
        raise ContainerdError("no such thing")

    monkeypatch.setattr(world.daemon.containerd.tasks, "create", fails)
    await world.run("one", *FOREVER)
    await begun.wait()
    await world.delete("one")
    await world.until_event("one", "Killing")
    go_on.set()
    await world.until_forgotten("one")
    assert world.left() == []
