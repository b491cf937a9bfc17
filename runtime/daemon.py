"""The node daemon, put together: containerd, registration, pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from podium.api.types.resources import NODES, PODS, SERVICES
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.runtime import machine
from podium.runtime.cgroups import group_tree
from podium.runtime.config import Layout, NodeConfig
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.process import OwnContainerd, Paths, StartError
from podium.runtime.eviction.manager import EvictionManager
from podium.runtime.eviction.signals import Places, disk_size
from podium.runtime.imagefolder import follow
from podium.runtime.imagegc import ImageCollector, disk
from podium.runtime.images import ImageStore
from podium.runtime.interfaces import PodNetwork, PodVolumes
from podium.runtime.logs import Outputs
from podium.runtime.meters import NodeMeters
from podium.runtime.node import description, reservations
from podium.runtime.node.enforcing import Enforcement
from podium.runtime.node.registrar import Registrar
from podium.runtime.pods.containers import Containers
from podium.runtime.pods.manager import PodManager
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.rush import Rush
from podium.runtime.pulling.records import PullRecords
from podium.runtime.pulling.supply import ImageSupply
from podium.runtime.sandbox import Sandboxes
from podium.runtime.shutdown.logind import Logind
from podium.runtime.shutdown.manager import ShutdownManager
from podium.runtime.staticpods.folder import ManifestFolder
from podium.runtime.usernamespaces.records import UserRanges
from podium.runtime.usernamespaces.support import Support

log = logging.getLogger(__name__)

_RESTART_PAUSE = 1.0

EVENT_WAITS = 0.1
"""Seconds that each event waits, at most, while pods are being started or ended."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def own_containerd(config: NodeConfig) -> OwnContainerd:
    """The containerd that a node without a given socket runs for itself."""
    paths = Paths(config.data_dir / "containerd", config.run_dir / "containerd")
    return OwnContainerd(paths, registries=config.registries)


def import_lock(config: NodeConfig) -> Path:
    """Held by whoever imports images into the node."""
    return Layout.of(config).data_dir / "import.lock"


def _image_folder(config: NodeConfig) -> Path:
    """Where images and containers lie."""
    return Path("/var/lib/containerd") if config.containerd_socket else config.data_dir / "containerd"


class NodeDaemon:
    """One node. Make it on a running loop. `run` goes on until it is cancelled; containers and an own
    containerd go on without it, and the next daemon takes them up.

    `reachable` is awaited before the API server is asked for anything; static pods do not wait for it.
    `connect` is awaited once the Node is registered and before pods are looked at: the pod network may need
    the Node's pod range. `pods`, `outputs` and `containerd` are what the node API is made of. `services` is
    shared with whoever else watches Services in this process, and run by them; without it the daemon runs its
    own."""

    def __init__(
        self,
        config: NodeConfig,
        client: Client,
        network: PodNetwork,
        volumes: PodVolumes,
        *,
        reachable: Callable[[], Awaitable[None]] | None = None,
        connect: Callable[[], Awaitable[None]] | None = None,
        services: Informer | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config
        self._reachable = reachable
        self._connect = connect
        self._own = None if config.containerd_socket else own_containerd(config)
        self.containerd = Containerd(config.containerd_socket or own_containerd(config).paths.socket)
        self.outputs = Outputs(config.logs)
        self.meters = NodeMeters()
        layout, here = Layout.of(config), machine.read()
        self._images = ImageStore(self.containerd, most=config.pulls_at_once)
        self.rush = Rush()
        self.recorder = self._recorder = EventRecorder(
            client, "kubelet", config.node_name, turn=partial(self.rush.over, EVENT_WAITS)
        )
        records = PullRecords(layout.data_dir / "images")
        self.supply = ImageSupply(self._images, records, client, config.pull_verification, now=now)
        cgroups = group_tree(config)
        whole = reservations.capacity(config, here, disk_size(config.data_dir))
        reservations.check(config, whole)
        for_pods = reservations.for_pods(config, whole)
        self._enforcement = Enforcement(
            partial(cgroups.enforce, for_pods), cgroups.top.lstrip("/"), self._recorder, config.node_name
        )
        folder = _image_folder(config)
        self._garbage = ImageCollector(
            config.image_gc, self.containerd, records, self._recorder, config.node_name,
            used=lambda: self.pods.images_in_use(), room=lambda: disk(folder), now=now,
        )  # fmt: skip
        self._eviction = EvictionManager(
            config.eviction,
            Places(layout.data_dir, folder, cgroups, for_pods["memory"]),
            self._garbage,
            self._recorder,
            config.node_name,
            now=now,
            changed=lambda: self._registrar.changed(),
        )
        support = Support(self.containerd, config.runtimes, config.user_ids)
        self.ranges = UserRanges(layout.pods, config.user_ids)
        self.meters.evictions = self._eviction.evictions
        self._registrar = Registrar(
            config,
            client,
            self.containerd,
            self._images,
            here,
            now=now,
            pressure=lambda: self._eviction.conditions,
            volumes_in_use=volumes.in_use,
            own_users=support.handlers,
            leaving=lambda: self.shutdown.leaving,
            recorder=self._recorder,
        )
        self._services = services or Informer(client, SERVICES)
        self._runs_services = services is None
        self._pod_informer = Informer(client, PODS, fields=f"spec.nodeName={config.node_name}")
        self._node_informer = Informer(client, NODES, fields=f"metadata.name={config.node_name}")
        # Static pods do not wait for the API server to say what this node is.
        described = {
            **description.node(config, here),
            "status": description.status(
                config, here, disk=disk_size(config.data_dir), runtime_version="", images=()
            ),
        }
        manifests = ManifestFolder(config.manifests_folder, config.node_name, now=now)
        node = PodNode(
            config=config,
            client=client,
            recorder=self._recorder,
            containers=Containers(self.containerd, layout, cgroups, self.outputs, here, now=now),
            supply=self.supply,
            sandboxes=Sandboxes(
                layout,
                cluster_dns=config.cluster_dns,
                cluster_domain=config.cluster_domain,
                resolv_conf=config.resolv_conf,
                ranges=self.ranges,
            ),
            network=network,
            volumes=volumes,
            machine=here,
            support=support,
            services=self._services.list,
            known=lambda: self._node_informer.get(config.node_name) or described,
            now=now,
            meters=self.meters,
            rush=self.rush,
        )
        self.pods = PodManager(
            node,
            self._pod_informer,
            self._eviction,
            manifests,
            lambda: self._node_informer.get(config.node_name),
        )
        self.shutdown = ShutdownManager(
            config.shutdown.planned(), self._recorder, config.node_name, workers=self.pods.workers,
            changed=self._registrar.changed, now=now,
        )  # fmt: skip
        self.pods.refuse_while(lambda: self.shutdown.leaving)
        self._node_informer.add_handler(lambda old, new: self.pods.look_at_mirrors())
        volumes.on_change(self.pods.retry_volumes, self._registrar.changed)
        self.ready = asyncio.Event()
        self._working = False

    async def run(self) -> None:
        """Raises StartError when containerd cannot be started at all."""
        if self._own is not None:
            await self._own.ensure()
        await self.containerd.ensure_namespace()
        enforced = await self._enforcement.attempt()
        try:
            async with asyncio.TaskGroup() as group:
                if not enforced:
                    group.create_task(self._enforcement.insist(), name="limits of all pods")
                group.create_task(self.pods.run(), name="pods' workers")
                self._working = True
                if self.config.images is not None:
                    lock = import_lock(self.config)
                    group.create_task(follow(self.config.images, self.containerd, lock), name="archives")
                if self._own is not None:
                    group.create_task(self._supervise(self._own), name="containerd")
                if self._reachable is not None:
                    await self._reachable()
                group.create_task(self._pod_informer.run(), name="pods")
                group.create_task(self._node_informer.run(), name="node")
                if self._runs_services:
                    group.create_task(self._services.run(), name="services")
                await self._registrar.register()
                group.create_task(self._registrar.run(), name="registrar")
                if self._connect is not None:
                    await self._connect()
                await self._services.synced()
                self.pods.open()
                group.create_task(self._garbage.run(), name="unused images")
                if config_shares := self.config.shutdown.planned():
                    log.info("holding shutdowns back for %g s", sum(share.seconds for share in config_shares))
                    group.create_task(self.shutdown.run(Logind()), name="shutdown")
                self._registrar.ready()
                await self._registrar.announced.wait()
                self.ready.set()
        finally:
            await self._close()

    def idle(self) -> str:
        """Why pods are not looked after, "" when they are."""
        return "" if self._working else "pods are not looked after yet"

    def shut_down(self) -> None:
        """The machine goes down: pods end in their order, if they are given time for that."""
        if self.config.shutdown.planned() and not self.shutdown.leaving:
            self._leaving = asyncio.create_task(self.shutdown.begin(), name="shutdown of the machine")

    async def _supervise(self, own: OwnContainerd) -> None:
        """Starts containerd again whenever it ends. Containers do not depend on it; its clients reconnect by
        themselves."""
        while True:
            await own.ended()
            log.warning("containerd has ended; starting it again")
            self._registrar.not_ready("container runtime is down")
            while True:
                try:
                    await own.ensure()
                    break
                except StartError as error:
                    log.error("%s", error)
                await asyncio.sleep(_RESTART_PAUSE)
            self._registrar.ready()

    async def _close(self) -> None:
        await self.outputs.detach()
        await self._recorder.close()
        await self.containerd.close()
