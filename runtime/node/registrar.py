"""Keeps the Node and its Lease true: at once when something changes, otherwise the Lease every ten seconds
and the status every five minutes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import LEASES, NODES
from podium.client.base import Client
from podium.runtime.config import NodeConfig
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.images import ImageStore
from podium.runtime.machine import Machine
from podium.runtime.node import description, pressure

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
        volumes_in_use: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._containerd = containerd
        self._images = images
        self._machine = machine
        self._now = now
        self._volumes_in_use = volumes_in_use
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
        while True:
            try:
                self._node = await self._create()
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
                found = pressure.look(self._config.data_dir)
                due = loop.time() - self._written_at >= STATUS_PERIOD
                if due or (found, self._not_ready, await self._in_use()) != self._seen:
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
        found = pressure.look(self._config.data_dir)
        why = self._not_ready
        status = description.status(
            self._config,
            self._machine,
            disk=pressure.disk_size(self._config.data_dir),
            runtime_version=await self._runtime_version(),
            images=await self._listed(),
        )
        old = (self._node.get("status") or {}).get("conditions") or []
        status["conditions"] = description.conditions(old, found, why, self._now())
        in_use = await self._in_use()
        status["volumesInUse"] = in_use or None
        self._node = await self._client.patch(
            NODES, self._config.node_name, {"status": status}, kind="strategic", subresource="status"
        )
        self._seen = (found, why, in_use)
        if not why:
            self.announced.set()
        self._written_at = asyncio.get_running_loop().time()

    async def _allot(self) -> None:
        node = await self._client.get(NODES, self._config.node_name)
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
