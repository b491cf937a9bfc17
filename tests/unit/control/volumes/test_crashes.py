"""The server goes away before or after any one write: what was begun is completed, and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.resources import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    Resource,
)
from podium.api.types.storage import HOSTNAME, volume_name
from podium.client.base import Client
from podium.client.factory import InformerFactory
from podium.control.controller import Context
from podium.control.volumes import storage_controllers

from ...frozen import FrozenClient
from ..cluster import TestCluster
from .build import FakeNode, bound, claim, fake_node, in_phase, storage_class, volume

WRITES = range(1, 7)


class Breaking(FrozenClient):
    """Loses the connection at its `at`-th write: the server has not got it, or has and the answer is lost."""

    def __init__(self, client: Client, at: int, *, arrives: bool) -> None:
        super().__init__(client)
        self.at, self.arrives, self.writes = at, arrives, 0

    async def _write(self, work: Any) -> Any:
        self.writes += 1
        if self.writes != self.at:
            return await work
        if self.arrives:
            await work
        else:
            work.close()
        raise ConnectionError("the server went away")

    async def update(self, resource: Resource, obj: Obj, **kwargs: Any) -> Obj:
        return await self._write(super().update(resource, obj, **kwargs))

    async def delete(self, resource: Resource, *args: Any, **kwargs: Any) -> None:
        await self._write(super().delete(resource, *args, **kwargs))


@contextlib.asynccontextmanager
async def storage(client: Client) -> AsyncIterator[None]:
    """All controllers of storage, and no others."""
    context = Context(client, InformerFactory(client))
    tasks = [asyncio.ensure_future(controller.run()) for controller in storage_controllers(context)]
    context.informers.start()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await context.informers.stop()
        await context.close()


@pytest.fixture
async def server() -> AsyncIterator[TestCluster]:
    api = ApiServer(ServerConfig(protect_storage=True))
    await api.start()
    await api.client.create(NAMESPACES, {"metadata": {"name": "test"}})
    condition = {"type": "Ready", "status": "True"}
    made = await api.client.create(NODES, {"metadata": {"name": "node-a", "labels": {HOSTNAME: "node-a"}}})
    await api.client.update(NODES, {**made, "status": {"conditions": [condition]}}, subresource="status")
    await api.client.create(STORAGE_CLASSES, storage_class())
    yield TestCluster(api, None)  # type: ignore[arg-type]  # nobody runs pods here
    await api.close()


@pytest.mark.parametrize("arrives", [False, True], ids=["lost", "unanswered"])
@pytest.mark.parametrize("at", WRITES)
async def test_a_binding_by_hand_survives(server: TestCluster, at: int, arrives: bool) -> None:
    await server.client.create(PERSISTENT_VOLUMES, volume())
    await server.client.create(PERSISTENT_VOLUMES, volume("other", "2Gi"))
    await server.client.create(PERSISTENT_VOLUME_CLAIMS, claim(storageClassName=""))
    async with storage(Breaking(server.server.client, at, arrives=arrives)):
        done = await bound(server)
        name = done["spec"]["volumeName"]
        await in_phase(server, name, "Bound")
        await in_phase(server, ({"pv", "other"} - {name}).pop(), "Available")
        await server.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "test")
        await in_phase(server, name, "Released")


@pytest.mark.parametrize("arrives", [False, True], ids=["lost", "unanswered"])
@pytest.mark.parametrize("at", WRITES)
async def test_a_provisioned_claim_comes_and_goes_whole(server: TestCluster, at: int, arrives: bool) -> None:
    made = await server.client.create(PERSISTENT_VOLUME_CLAIMS, claim(storageClassName="fast"))
    breaking = Breaking(server.server.client, at, arrives=arrives)
    async with fake_node(server.client) as node, storage(breaking):
        assert isinstance(node, FakeNode)
        await bound(server)
        await in_phase(server, volume_name(made), "Bound")
        breaking.writes = 0
        await server.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "test")
        await server.gone(PERSISTENT_VOLUMES, volume_name(made), "")
