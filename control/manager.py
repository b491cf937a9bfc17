"""All controllers and the scheduler, run together: one set of informers, each loop supervised on its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from podium.client.base import Client
from podium.client.clock import Clock, sleep
from podium.client.factory import InformerFactory
from podium.client.leader import LeaderElector, LostLease, Timing
from podium.client.workqueue import backoff
from podium.control.addresses import AddressRecords
from podium.control.autoscaling.controller import AutoscalingConfig, HorizontalAutoscaler
from podium.control.balancers.controller import LoadBalancers
from podium.control.certificates import (
    CertificateApprover,
    CertificateCleaner,
    CertificateSigner,
    TokenCleaner,
)
from podium.control.certificates.signing import Authority
from podium.control.clockset import ClockWatch
from podium.control.clusterroles import ClusterRoleAggregation
from podium.control.controller import Context
from podium.control.cronjobs.controller import CronJobController
from podium.control.daemons.controller import DaemonSetController
from podium.control.deployments.controller import DeploymentController
from podium.control.disruptions.controller import DisruptionController
from podium.control.disruptions.stale import StaleDisruptions
from podium.control.endpoints.endpoints_controller import EndpointsController
from podium.control.endpoints.mirror_controller import EndpointSliceMirroring
from podium.control.endpoints.slice_controller import EndpointSliceController
from podium.control.garbage.controller import GarbageCollector
from podium.control.jobs.controller import JobController
from podium.control.jobs.expiry import JobExpiry
from podium.control.jobs.orphans import OrphanedJobPods
from podium.control.metadata import MetadataWatch
from podium.control.namespaces import NamespaceController
from podium.control.nodes import NodeIpam, NodeLifecycle, Patience, TaintEviction
from podium.control.nodescaling import NodeAutoscaler, NodeScalingConfig
from podium.control.numbers import Numbers
from podium.control.podgc import PodCollector
from podium.control.quotas import QuotaController
from podium.control.replicas.controller import REPLICATION_CONTROLLER, ReplicaController
from podium.control.rootca import RootCaPublisher
from podium.control.scheduler import Scheduler, SchedulerConfig
from podium.control.serviceaccounts import ServiceAccountController
from podium.control.statefulsets.controller import StatefulSetController
from podium.control.tokensecrets import Issue, TokenSecretController
from podium.control.volumes import storage_controllers

log = logging.getLogger(__name__)

RESTART_BASE, RESTART_MAX = 0.5, 60.0  # seconds before a failed loop is started again
STEADY = 300.0  # seconds after which a loop's earlier failures no longer count
LEASE_NAMESPACE, LEASE_NAME = "kube-system", "podium-controllers"


class Loop(Protocol):
    """Anything with a name that runs until it is cancelled, and can be run again."""

    async def run(self) -> None: ...


@dataclass(frozen=True)
class ManagerConfig:
    """`cluster_cidr` is what nodes get their pod ranges from ("" gives none), `root_ca` the cluster CA in
    PEM, `patience` how long nodes may be silent.

    With `leader_elect` the controllers run only while this process, under `identity`, holds the lease."""

    cluster_cidr: str = ""
    root_ca: str = ""
    ca_key: str = ""
    secret_tokens: Issue | None = None
    patience: Patience = field(default_factory=Patience)
    leader_elect: bool = False
    identity: str = ""
    lease: Timing = field(default_factory=Timing)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    autoscaling: AutoscalingConfig = field(default_factory=AutoscalingConfig)
    node_scaling: NodeScalingConfig | None = None


class ControllerManager:
    """The controllers of one control plane."""

    def __init__(self, client: Client, config: ManagerConfig, *, clock: Clock | None = None) -> None:
        self._client, self._config, self._clock = client, config, clock
        self._ready = asyncio.Event()
        self.numbers = Numbers()

    async def run(self) -> None:
        """Until cancelled; with leader election, whenever and as long as this process leads."""
        if not self._config.leader_elect:
            await self._work()
            return
        identity = self._config.identity or f"{socket.gethostname()}_{os.getpid()}"
        elector = LeaderElector(
            self._client, LEASE_NAMESPACE, LEASE_NAME, identity, timing=self._config.lease, clock=self._clock
        )
        while True:
            try:
                await elector.lead(self._work)
            except LostLease as error:
                log.warning("the controllers stop: %s", error)

    async def ready(self) -> None:
        """Waits until the controllers run on full caches."""
        await self._ready.wait()

    async def _work(self) -> None:
        """Everything is made anew for each leadership: a follower's caches are stale."""
        context = Context(self._client, InformerFactory(self._client), self._clock, numbers=self.numbers)
        loops = self._loops(context)
        context.informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                for name, loop in loops.items():
                    group.create_task(supervise(name, loop.run, self._clock), name=name)
                await context.informers.synced()
                self._ready.set()
        finally:
            self._ready.clear()
            await context.informers.stop()
            await context.close()

    def _loops(self, context: Context) -> dict[str, Loop]:
        metadata = MetadataWatch(self._client)
        controllers = [
            DeploymentController(context),
            ReplicaController(context),
            ReplicaController(context, REPLICATION_CONTROLLER),
            StatefulSetController(context),
            DaemonSetController(context),
            JobController(context),
            OrphanedJobPods(context),
            JobExpiry(context),
            CronJobController(context),
            DisruptionController(context),
            StaleDisruptions(context),
            ClusterRoleAggregation(context),
            EndpointSliceController(context),
            EndpointSliceMirroring(context),
            EndpointsController(context),
            LoadBalancers(context),
            AddressRecords(context),
            ServiceAccountController(context),
            NamespaceController(context, metadata),
            GarbageCollector(context, metadata),
            QuotaController(context, metadata),
            PodCollector(context),
            CertificateApprover(context),
            CertificateCleaner(context),
            TokenCleaner(context),
            HorizontalAutoscaler(context, self._config.autoscaling),
            NodeLifecycle(context, self._config.patience),
            TaintEviction(context),
            *storage_controllers(context),
        ]
        if self._config.ca_key:
            authority = Authority.from_pem(self._config.root_ca, self._config.ca_key)
            controllers.append(CertificateSigner(context, authority))
        if self._config.root_ca:
            controllers.append(RootCaPublisher(context, self._config.root_ca))
        if self._config.secret_tokens is not None:
            issue = self._config.secret_tokens
            controllers.append(TokenSecretController(context, self._config.root_ca, issue))
        if self._config.cluster_cidr:
            controllers.append(NodeIpam(context, self._config.cluster_cidr))
        scheduler = Scheduler(
            self._client,
            context.informers,
            context.recorder,
            config=self._config.scheduler,
            clock=self._clock,
            meter=context.numbers.scheduling,
        )
        loops: dict[str, Loop] = {controller.name: controller for controller in controllers}
        if self._config.node_scaling is not None:
            autoscaler = NodeAutoscaler(context, self._config.node_scaling)
            loops[autoscaler.name] = autoscaler
        return loops | {"metadata": metadata, "scheduler": scheduler, "clock": ClockWatch(context.clock_set)}


async def supervise(name: str, run: Callable[[], Awaitable[None]], clock: Clock | None = None) -> None:
    """Runs `run` for ever: when it fails or ends, that is reported and it is started again, after a growing
    pause."""
    failures = 0
    while True:
        started = (clock or asyncio.get_running_loop()).time()
        try:
            await run()
            log.error("%s ended by itself", name)
        except Exception:  # whatever it is, it must not take the other loops with it
            log.exception("%s failed and will be started again", name)
        if (clock or asyncio.get_running_loop()).time() - started > STEADY:
            failures = 0
        await sleep(clock, backoff(failures, RESTART_BASE, RESTART_MAX))
        failures += 1
