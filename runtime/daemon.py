"""The node daemon, put together: containerd, registration, pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from podium.api.types.resources import NODES, PODS, SERVICES
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.runtime import machine
from podium.runtime.cgroups import Cgroups
from podium.runtime.config import Layout, NodeConfig
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.process import OwnContainerd, Paths, StartError
from podium.runtime.images import ImageStore
from podium.runtime.interfaces import PodNetwork, PodVolumes
from podium.runtime.logs import Outputs
from podium.runtime.node.registrar import Registrar
from podium.runtime.pods.containers import Containers
from podium.runtime.pods.manager import PodManager
from podium.runtime.pods.node import PodNode
from podium.runtime.sandbox import Sandboxes

log = logging.getLogger(__name__)

_RESTART_PAUSE = 1.0


def utc_now() -> datetime:
    return datetime.now(UTC)


def own_containerd(config: NodeConfig) -> OwnContainerd:
    """The containerd that a node without a given socket runs for itself."""
    return OwnContainerd(Paths(config.data_dir / "containerd", config.run_dir / "containerd"))


class NodeDaemon:
    """One node. Make it on a running loop. `run` goes on until it is cancelled; containers and an own
    containerd go on without it, and the next daemon takes them up.

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
        connect: Callable[[], Awaitable[None]] | None = None,
        services: Informer | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config
        self._connect = connect
        self._own = None if config.containerd_socket else own_containerd(config)
        self.containerd = Containerd(config.containerd_socket or own_containerd(config).paths.socket)
        self.outputs = Outputs()
        layout, here = Layout.of(config), machine.read()
        self._images = ImageStore(self.containerd)
        self._recorder = EventRecorder(client, "kubelet", config.node_name)
        self._registrar = Registrar(
            config, client, self.containerd, self._images, here, now=now, volumes_in_use=volumes.in_use
        )
        self._services = services or Informer(client, SERVICES)
        self._runs_services = services is None
        self._pod_informer = Informer(client, PODS, fields=f"spec.nodeName={config.node_name}")
        self._node_informer = Informer(client, NODES, fields=f"metadata.name={config.node_name}")
        node = PodNode(
            config=config,
            client=client,
            recorder=self._recorder,
            containers=Containers(
                self.containerd, layout, Cgroups(config.cgroup_root), self.outputs, here, now=now
            ),
            images=self._images,
            sandboxes=Sandboxes(
                layout,
                cluster_dns=config.cluster_dns,
                cluster_domain=config.cluster_domain,
                resolv_conf=config.resolv_conf,
            ),
            network=network,
            volumes=volumes,
            machine=here,
            services=self._services.list,
            known=lambda: self._node_informer.get(config.node_name),
            now=now,
        )
        self.pods = PodManager(node, self._pod_informer)
        volumes.on_change(self.pods.retry_volumes, self._registrar.changed)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Raises StartError when containerd cannot be started at all."""
        if self._own is not None:
            await self._own.ensure()
        await self.containerd.ensure_namespace()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pod_informer.run(), name="pods")
                group.create_task(self._node_informer.run(), name="node")
                if self._runs_services:
                    group.create_task(self._services.run(), name="services")
                if self._own is not None:
                    group.create_task(self._supervise(self._own), name="containerd")
                await self._registrar.register()
                group.create_task(self._registrar.run(), name="registrar")
                if self._connect is not None:
                    await self._connect()
                await self._services.synced()
                group.create_task(self.pods.run(), name="pods' workers")
                self._registrar.ready()
                await self._registrar.announced.wait()
                self.ready.set()
        finally:
            await self._close()

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
