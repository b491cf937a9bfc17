"""A control plane to test against: the real API server in memory, the real controllers reading frozen
objects, and a kubelet of which only the words are real: it says that pods run, and lets go of those that are
deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, timestamp
from podium.api.types.resources import NAMESPACES, NODES, PODS, Resource
from podium.client.base import Client
from podium.client.informer import Informer
from podium.control.manager import ControllerManager, ManagerConfig

from ..frozen import FrozenClient
from .watching import PATIENCE, until

ROOT_CA = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"


class FakeKubelet:
    """Answers for all nodes. `ready` decides which pods become Ready; `hold` keeps deleted pods from
    going."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._addresses = (f"10.42.{high}.{low}" for high in range(256) for low in range(2, 255))
        self._tasks: set[asyncio.Task[None]] = set()
        self.ready: Callable[[Obj], bool] = lambda pod: True
        self.hold = False
        self.pods = Informer(client, PODS)
        self.pods.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None or not new["spec"].get("nodeName"):
            return
        if deleting(new):
            if not self.hold:
                self._start(self._gone(new))
        elif not (new.get("status") or {}).get("podIP"):
            self._start(self.report(new, ready=self.ready(new)))

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def report(self, pod: Obj, *, ready: bool, phase: str = "Running") -> None:
        """Writes the pod's status."""
        meta = pod["metadata"]
        address = (pod.get("status") or {}).get("podIP") or next(self._addresses)
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp()}
        status = {"phase": phase, "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}
        with contextlib.suppress(StatusError):
            await self._client.patch(
                PODS, meta["name"], {"status": status}, meta["namespace"], subresource="status"
            )

    async def _gone(self, pod: Obj) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(StatusError):
            await self._client.delete(PODS, meta["name"], meta["namespace"], grace_seconds=0, uid=meta["uid"])

    def release(self) -> None:
        """Lets the held pods go."""
        self.hold = False
        for pod in self.pods.list():
            if deleting(pod):
                self._start(self._gone(pod))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Gate(FrozenClient):
    """The controllers' client; `refuse` names the error that a create is to end with, if any."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.refuse: Callable[[Resource], StatusError | None] = lambda resource: None

    async def create(self, resource: Resource, *args: Any, **kwargs: Any) -> Obj:
        if error := self.refuse(resource):
            raise error
        return await super().create(resource, *args, **kwargs)


class TestCluster:
    __test__ = False

    def __init__(self, server: ApiServer, kubelet: FakeKubelet) -> None:
        self.server, self.kubelet = server, kubelet
        self.gate = Gate(server.client)
        self.client: Client = FrozenClient(server.client)
        self._controllers: asyncio.Task[None] | None = None

    async def start_controllers(self) -> None:
        config = ManagerConfig(root_ca=ROOT_CA, secret_tokens=self.server.secret_token)
        manager = ControllerManager(self.gate, config)
        self._controllers = asyncio.ensure_future(manager.run())
        await asyncio.wait_for(manager.ready(), PATIENCE)

    async def stop_controllers(self) -> None:
        if self._controllers is not None:
            self._controllers.cancel()
            await asyncio.gather(self._controllers, return_exceptions=True)

    async def namespace(self, name: str = "test") -> None:
        await self.client.create(NAMESPACES, {"metadata": {"name": name}})

    async def node(self, name: str, zone: str = "") -> None:
        """A Ready node with room for many pods."""
        labels = {"kubernetes.io/hostname": name} | ({"topology.kubernetes.io/zone": zone} if zone else {})
        made = await self.client.create(NODES, {"metadata": {"name": name, "labels": labels}})
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "500"}
        now = timestamp()
        condition = {
            "type": "Ready",
            "status": "True",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        status = {"capacity": capacity, "allocatable": capacity, "conditions": [condition]}
        await self.client.update(NODES, {**made, "status": status}, subresource="status")

    async def until(
        self, resource: Resource, holds: Callable[[list[Obj]], bool], namespace: str = "test"
    ) -> list[Obj]:
        """Waits, by watching, until the objects of a namespace are as wished; returns them."""
        return await until(self.client, resource, holds, namespace)

    async def one(
        self, resource: Resource, name: str, holds: Callable[[Obj], bool], namespace: str = "test"
    ) -> Obj:
        """Waits until the object of this name is as wished; returns it."""

        def named(objects: list[Obj]) -> list[Obj]:
            return [obj for obj in objects if obj["metadata"]["name"] == name and holds(obj)]

        return named(await self.until(resource, lambda objects: bool(named(objects)), namespace))[0]

    async def gone(self, resource: Resource, name: str, namespace: str = "test") -> None:
        await self.until(
            resource, lambda objects: all(obj["metadata"]["name"] != name for obj in objects), namespace
        )


@contextlib.asynccontextmanager
async def running_cluster() -> AsyncIterator[TestCluster]:
    server = ApiServer(ServerConfig(protect_storage=True))
    await server.start()
    cluster = TestCluster(server, FakeKubelet(server.client))
    pods = asyncio.ensure_future(cluster.kubelet.pods.run())
    try:
        await cluster.start_controllers()
        await cluster.node("node-a", "zone-1")
        await cluster.node("node-b", "zone-2")
        await cluster.namespace()
        yield cluster
    finally:
        await cluster.stop_controllers()
        pods.cancel()
        await asyncio.gather(pods, return_exceptions=True)
        await cluster.kubelet.close()
        await server.close()
