"""What all workers of a node share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.resources import NODES
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.runtime.config import NodeConfig
from podium.runtime.interfaces import PodNetwork, PodVolumes
from podium.runtime.machine import Machine
from podium.runtime.meters import NodeMeters
from podium.runtime.pods import rules
from podium.runtime.pods.containers import Containers
from podium.runtime.pods.rush import Rush
from podium.runtime.pulling.supply import ImageSupply
from podium.runtime.sandbox import Sandboxes
from podium.runtime.usernamespaces.support import Support

# Making a container costs 50 ms of CPU in runc: more at once only make each of them slower.
CREATED_AT_ONCE = 4

# What is left of pods that are gone is in nobody's way.
REMOVED_AT_ONCE = 2

# A server that serves a node's writes in turn needs no connection for each of its pods.
TOLD_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PodNode:
    """The tools of one node, for its pods' workers. `support` tells whether pods can have
    users of their own, `services` gives the Services there are right now, `known` the Node as the API server
    has it, None as long as it was not heard of."""

    config: NodeConfig
    client: Client
    recorder: EventRecorder
    containers: Containers
    supply: ImageSupply
    sandboxes: Sandboxes
    network: PodNetwork
    volumes: PodVolumes
    machine: Machine
    support: Support
    services: Callable[[], Iterable[Obj]]
    known: Callable[[], Obj | None]
    now: Callable[[], datetime]
    meters: NodeMeters = field(default_factory=NodeMeters)
    rush: Rush = field(default_factory=Rush)
    creating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CREATED_AT_ONCE))
    removing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REMOVED_AT_ONCE))
    telling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TOLD_AT_ONCE))

    @property
    def host_ip(self) -> str:
        return self.config.node_address

    async def fresh(self) -> Obj:
        """The Node as it is this moment. Raises StatusError, ConnectionError."""
        return await self.client.get(NODES, self.config.node_name)

    def tell(self, pod: Obj, type_: str, reason: str, message: str, container: str = "") -> None:
        """Records an event about a pod, or one of its containers."""
        path = rules.field_path(pod, container) if container else ""
        self.recorder.event(pod, type_, reason, message, field_path=path)
