"""A node for a test: a real daemon on a real containerd and API server. Its pod network pins network
namespaces and connects them to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS, EVENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS, Resource
from podium.client.base import Client
from podium.runtime import mounting
from podium.runtime.config import NodeConfig
from podium.runtime.containerd import Containerd
from podium.runtime.daemon import NodeDaemon
from podium.runtime.interfaces import ContainerView
from podium.runtime.logs import LogOptions, read_logs
from podium.runtime.teardown import stop_node
from podium.storage.manager import VolumeManager
from tests.unit.runtime.making import container, pod

CLONE_NEWNET = 0x40000000
PATIENCE = 20


class PinnedNetwork:
    """Network namespaces without a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def setup(self, pod: Obj, netns: str) -> list[str]:
        await asyncio.to_thread(self._pin, Path(netns))
        return ["192.0.2.7"]

    def _pin(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not mounting.is_mounted(path):
            path.touch()
            mounting.in_new_namespaces(CLONE_NEWNET, {"net": path})

    async def withdrawn(self, uid: str) -> None:
        """No Service sends anything here."""

    async def teardown(self, uid: str, netns: str) -> None:
        await asyncio.to_thread(self._unpin, Path(netns))

    def _unpin(self, path: Path) -> None:
        mounting.unmount(path)
        path.unlink(missing_ok=True)

    async def known(self) -> dict[str, list[str]]:
        if not self._folder.is_dir():
            return {}
        return {pin.name: ["192.0.2.7"] for pin in self._folder.iterdir()}


class World:
    """`start` and `stop` begin and end the daemon; containers do not notice."""

    def __init__(self, client: Client, folder: Path, socket: str) -> None:
        self.client = client
        self.folder = folder
        self.config = NodeConfig(
            node_name="n1",
            node_address="127.0.0.1",
            data_dir=folder / "data",
            run_dir=folder / "run",
            log_dir=folder / "log" / "pods",
            containerd_socket=socket,
            cgroup_root=f"{os.environ.get('PODIUM_TEST_CGROUP', 'podium-test')}/{folder.name}",
        )
        self._network = PinnedNetwork(folder / "run" / "netns")
        self._volumes = VolumeManager(client, node_name="n1", pods_dir=folder / "data" / "node" / "pods")
        self._task: asyncio.Task[None] | None = None
        self.daemon: NodeDaemon

    async def prepare(self) -> None:
        """What controllers would have made."""
        await self._ensure(NAMESPACES, {"metadata": {"name": "default"}})
        await self._ensure(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
        await self._ensure(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        await self._ensure(
            CONFIG_MAPS,
            {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "x"}},
        )

    async def _ensure(self, resource: Resource, obj: Obj) -> None:
        with contextlib.suppress(StatusError):
            whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
            await self.client.create(resource, whole, meta.namespace_of(obj))

    async def start(self) -> None:
        await self._volumes.start()
        self.daemon = NodeDaemon(self.config, self.client, self._network, self._volumes)
        self._task = asyncio.create_task(self.daemon.run())
        ready = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._volumes.close()

    async def clear(self) -> None:
        await stop_node(self.config, self._network, self._volumes, patience=0)

    async def end(self, container_id: str) -> None:
        """Takes a container away behind the daemon's back."""
        assert self.config.containerd_socket is not None
        containerd = Containerd(self.config.containerd_socket)
        try:
            await containerd.tasks.kill(container_id, signal.SIGKILL)
            await containerd.tasks.wait(container_id)
            await containerd.tasks.delete(container_id)
            await containerd.snapshots.remove(container_id)
            await containerd.containers.delete(container_id)
        finally:
            await containerd.close()

    # Pods

    async def run(self, name: str, *command: str, spec: Obj | None = None, **of_container: Any) -> None:
        """Creates a pod of one busybox container on the node."""
        if command:
            of_container["command"] = list(command)
        more = {"nodeName": "n1", "terminationGracePeriodSeconds": 5, **(spec or {})}
        await self.create(pod(container(**of_container), name=name, **more))

    async def create(self, obj: Obj) -> None:
        named = {"name": obj["metadata"]["name"], "namespace": "default"}
        await self.client.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": obj["spec"]}, "default"
        )

    async def delete(self, name: str, *, grace: int | None = None) -> None:
        await self.client.delete(PODS, name, "default", grace_seconds=grace)

    async def until(self, name: str, holds: Callable[[Obj], bool]) -> Obj:
        """The first version of the pod for which `holds` is true."""
        last: Obj | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                async for last in self._versions(name):
                    status = last.get("status") or {}
                    taken_up = status.get("containerStatuses") or status.get("phase") == "Failed"
                    if taken_up and holds(last):
                        return last
        except TimeoutError:
            raise AssertionError(f"{name} stays at {last and last.get('status')}") from None
        raise AssertionError(f"the watch of {name} ended")

    async def _versions(self, name: str) -> AsyncIterator[Obj]:
        """The pod as it is, then every change."""
        fields = f"metadata.name={name}"
        listed = await self.client.list(PODS, "default", fields=fields)
        for obj in listed.items:
            yield obj
        version = listed.resource_version
        async for event in self.client.watch(PODS, "default", resource_version=version, fields=fields):
            if event.type in ("ADDED", "MODIFIED"):
                yield event.object

    async def until_gone(self, name: str) -> list[Obj]:
        """The versions of the pod from now on until it is deleted."""
        fields = f"metadata.name={name}"
        seen: list[Obj] = []
        async with asyncio.timeout(PATIENCE):
            listed = await self.client.list(PODS, "default", fields=fields)
            if not listed.items:
                return seen
            version = listed.resource_version
            async for event in self.client.watch(PODS, "default", resource_version=version, fields=fields):
                seen.append(event.object)
                if event.type == "DELETED":
                    return seen
        raise AssertionError(f"the watch of {name} ended")

    async def until_event(self, name: str, reason: str) -> str:
        """The message of the pod's first event for that reason."""
        async with asyncio.timeout(PATIENCE):
            listed = await self.client.list(EVENTS, "default")
            events = [*listed.items]
            stream = self.client.watch(EVENTS, "default", resource_version=listed.resource_version)
            while True:
                for event in events:
                    if (event["involvedObject"]["name"], event["reason"]) == (name, reason):
                        return str(event["message"])
                events = [(await anext(aiter(stream))).object]

    async def until_forgotten(self, name: str) -> None:
        """Returns when the daemon has nothing to do with the pod any more."""
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith(f"pod {name}_")]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*tasks)

    def container(self, name: str, container: str = "c", *, previous: bool = False) -> ContainerView:
        view = self.daemon.pods.view("default", name)
        assert view is not None
        found = view.container(container, previous=previous)
        assert found is not None
        return found

    async def log(self, name: str, ending: str) -> str:
        """What the container has printed once it has printed `ending`."""
        printed = b""
        ended = self.daemon.outputs.ended(self.container(name).id)
        pieces = read_logs(self.container(name).log_path, LogOptions(follow=True), ended)
        async with asyncio.timeout(PATIENCE), contextlib.aclosing(pieces):
            async for piece in pieces:
                printed += piece
                if printed.endswith(ending.encode()):
                    break
        return printed.decode()

    def left(self) -> list[str]:
        """Traces of pods on the machine."""
        roots = (self.config.run_dir / "pods", self.config.run_dir / "netns", self.folder / "data/node/pods")
        return [str(entry) for root in roots if root.is_dir() for entry in root.iterdir()]


def ready(obj: Obj) -> bool:
    return meta.condition_is_true(obj, "Ready")


def state(obj: Obj, place: int = 0) -> Obj:
    """The state of the pod's container."""
    return dict(obj["status"]["containerStatuses"][place]["state"])


def waits_for(reason: str) -> Callable[[Obj], bool]:
    return lambda obj: state(obj).get("waiting", {}).get("reason") == reason
