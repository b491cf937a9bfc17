"""Keeps the Node and its Lease true: at once when something changes, otherwise the Lease every ten seconds
and the status every five minutes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import LEASES, NODES
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.runtime.config import NodeConfig
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.eviction.signals import disk_size
from podium.runtime.images import ImageStore
from podium.runtime.machine import Machine
from podium.runtime.node import description, news
from podium.runtime.node.news import News
from podium.runtime.shutdown.plan import NOT_READY

log = logging.getLogger(__name__)

STATUS_PERIOD = 300.0
_NAMESPACE = "kube-node-lease"


class Registrar:
    """One node's registration. `register` returns when the API server has the Node; `run` keeps it fresh."""

    def __init__(
        self,
        config: NodeConfig,
        client: Client,
        containerd: Containerd,
        images: ImageStore,
        machine: Machine,
        *,
        now: Callable[[], datetime],
        pressure: Callable[[], frozenset[str]],
        volumes_in_use: Callable[[], Awaitable[list[str]]] | None = None,
        own_users: Callable[[], Awaitable[frozenset[str]]] | None = None,
        leaving: Callable[[], bool] = lambda: False,
        recorder: EventRecorder | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._containerd = containerd
        self._images = images
        self._machine = machine
        self._now = now
        self._pressure = pressure
        self._volumes_in_use = volumes_in_use
        self._own_users = own_users
        self._leaving = leaving
        self._recorder = recorder
        self._not_ready = "container runtime network not ready"
        self._node: Obj | None = None
        self._lease: Obj | None = None
        self._lease_period = config.lease_duration / 4
        self._written_at = self._heard_at = float("-inf")
        self._seen: object = None
        self._changed = asyncio.Event()
        self.announced = asyncio.Event()
        """Set once the API server has been told that the node is ready."""

    def ready(self) -> None:
        """From now on pods can run here."""
        self.not_ready("")

    def not_ready(self, why: str) -> None:
        """Written at once; "" for ready."""
        self._not_ready = why
        self._changed.set()

    def changed(self) -> None:
        """Something that the status tells has changed."""
        self._changed.set()

    async def register(self) -> Obj:
        """Creates the Node or takes up the one that is there; tries until the server takes it."""
        delay = 0.1
        self._tell([News("Normal", "Starting", "Starting kubelet.")])
        while True:
            try:
                self._node = await self._create()
                before = (self._node.get("status") or {}).get("nodeInfo")
                self._tell(news.of_reboot(self._config.node_name, before, self._machine.boot_id))
                await self._write_status()
                return self._node
            except (ConnectionError, TimeoutError, StatusError) as error:
                log.warning("cannot register node %s: %s", self._config.node_name, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    async def _create(self) -> Obj:
        wanted = description.node(self._config, self._machine)
        try:
            return await self._client.create(NODES, wanted)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
        found = await self._client.get(NODES, self._config.node_name)
        labels = wanted["metadata"]["labels"]
        if labels.items() <= (found["metadata"].get("labels") or {}).items():
            return found
        patch = {"metadata": {"labels": labels}}
        return await self._client.patch(NODES, self._config.node_name, patch)

    async def run(self) -> None:
        """Until cancelled. What the server refuses or does not hear is tried again at the next turn."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                await self._renew_lease()
                self._heard(loop.time())
                await self._allot()
                due = loop.time() - self._written_at >= STATUS_PERIOD
                if due or await self._look() != self._seen:
                    await self._write_status()
            except (ConnectionError, TimeoutError, StatusError, ContainerdError) as error:
                log.warning("cannot refresh node %s: %s", self._config.node_name, error)
                self._node = None if _is_missing(error) else self._node
            if self._node is None:
                await self.register()
            await self._turn()

    def _heard(self, now: float) -> None:
        """The server has just heard of the node. If that took longer than it should, it may have called the
        node unreachable meanwhile, and has to be told otherwise."""
        if now - self._heard_at > 2 * self._lease_period:
            self._written_at = float("-inf")
        self._heard_at = now

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._lease_period):
                await self._changed.wait()
        except TimeoutError:
            return
        self._written_at = float("-inf")

    async def _write_status(self) -> None:
        assert self._node is not None
        seen = found, why, in_use, images = await self._look()
        status = description.status(
            self._config,
            self._machine,
            disk=disk_size(self._config.data_dir),
            runtime_version=await self._runtime_version(),
            images=images,
            own_users=await self._own_users() if self._own_users is not None else frozenset(),
        )
        old = (self._node.get("status") or {}).get("conditions") or []
        status["conditions"] = description.conditions(old, found, why, self._now())
        status["volumesInUse"] = in_use or None
        self._node = await self._client.patch(
            NODES, self._config.node_name, {"status": status}, kind="strategic", subresource="status"
        )
        self._tell(news.of_conditions(self._config.node_name, old, status["conditions"]))
        self._seen = seen
        if not why:
            self.announced.set()
        self._written_at = asyncio.get_running_loop().time()

    async def _look(self) -> tuple[frozenset[str], str, list[str], list[Obj]]:
        """What the status tells that may change: pressure, why the node is not ready, volumes, images."""
        why = ", ".join(filter(None, (self._not_ready, NOT_READY if self._leaving() else "")))
        return self._pressure(), why, await self._in_use(), await self._listed()

    def _tell(self, happened: Iterable[News]) -> None:
        if self._recorder is None:
            return
        name = self._config.node_name
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
        for each in happened:
            self._recorder.event(node, each.type, each.reason, each.message)

    async def _allot(self) -> None:
        node = await self._client.get(NODES, self._config.node_name)
        if self._node is not None:
            self._tell(news.of_cordon(self._config.node_name, self._node, node))
            self._node = {**self._node, "spec": node["spec"]}
        if changes := description.allotment(node):
            patch = {"status": {"allocatable": changes}}
            await self._client.patch(NODES, self._config.node_name, patch, subresource="status")

    async def _in_use(self) -> list[str]:
        """The volumes that are mounted here, as the status names them."""
        return await self._volumes_in_use() if self._volumes_in_use is not None else []

    async def _runtime_version(self) -> str:
        try:
            return await self._containerd.version()
        except ContainerdError:
            return "Unknown"

    async def _listed(self) -> list[Obj]:
        """The images, none while containerd cannot say."""
        try:
            return await self._images.listed(description.MAX_IMAGES)
        except ContainerdError as error:
            log.debug("cannot list images: %s", error)
            return []

    async def _renew_lease(self) -> None:
        wanted = description.lease(self._config, self._now(), self._node)
        if self._lease is None:
            self._lease = await self._take_lease(wanted)
            return
        patch = {"spec": wanted["spec"]}
        try:
            self._lease = await self._client.patch(LEASES, self._config.node_name, patch, _NAMESPACE)
        except StatusError as error:
            self._lease = None
            if error.code != 404:
                raise
            self._lease = await self._client.create(LEASES, wanted, _NAMESPACE)

    async def _take_lease(self, wanted: Obj) -> Obj:
        try:
            return await self._client.create(LEASES, wanted, _NAMESPACE)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self._client.patch(LEASES, self._config.node_name, {"spec": wanted["spec"]}, _NAMESPACE)


def _is_missing(error: Exception) -> bool:
    return isinstance(error, StatusError) and error.code == 404
