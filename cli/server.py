"""`podium server`: API server, scheduler and controllers in one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
from pathlib import Path

import uvloop

from podium.api.server import ApiServer, ServerConfig
from podium.api.store.sqlite import SqliteStore
from podium.cli import clusterinfo, operating, scaling
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.main import cluster_of
from podium.cli.process import claim_notify_socket, say_ready
from podium.cli.service import configure_logging, raise_file_limit, stop_on_signals, until_stopped
from podium.control.manager import ControllerManager, ManagerConfig
from podium.control.nodes import Patience
from podium.control.scheduler import ConfigError, SchedulerConfig, read_config


def run(options: argparse.Namespace) -> int:
    configure_logging()
    raise_file_limit()
    uvloop.run(serve(cluster_of(options)))
    return 0


async def serve(cluster: Cluster) -> None:
    """Until SIGTERM. Ready once it listens and the controllers are running."""
    stop = stop_on_signals()
    notify = claim_notify_socket()
    folder = cluster.data / "server"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = SqliteStore(folder / "podium.db", codec=operating.encryption(cluster))
    audit = operating.audit(cluster)
    await store.start()
    config = ServerConfig(
        pki_dir=cluster.pki,
        advertise=(cluster.node_address, cluster.api_port),
        names=["127.0.0.1", cluster.node_address],
        service_cidr=cluster.service_cidr,
        kubernetes_address=cluster.api_service_address,
        dns_address=cluster.dns_address,
        check_contract=cluster.check_contract,
        metrics_resolution=cluster.metrics_resolution,
        protect_storage=True,
        taint_nodes=True,
        shutdown_delay=cluster.shutdown_delay_duration,
        audit=audit,
        authorization=cluster.authorization_mode.split(","),
    )
    server = ApiServer(config, store)
    await server.start()
    await clusterinfo.publish(server.client, cluster, server.ca_file.read_text())
    manager = ControllerManager(server.client, _manager_config(cluster, server))
    controllers = asyncio.create_task(manager.run(), name="controllers")
    try:
        for host in dict.fromkeys(("127.0.0.1", cluster.node_address)):
            await server.serve(host, cluster.api_port)
        # What is there now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        say_ready(notify)
        await until_stopped(stop, controllers)
    finally:
        controllers.cancel()
        await asyncio.gather(controllers, return_exceptions=True)
        await server.close()
        await store.close()
        if audit is not None:
            await asyncio.to_thread(audit.sink.close)


def _manager_config(cluster: Cluster, server: ApiServer) -> ManagerConfig:
    return ManagerConfig(
        cluster_cidr=cluster.cluster_cidr,
        root_ca=server.ca_file.read_text(),
        patience=Patience(monitor=cluster.node_monitor_grace_period),
        ca_key=server.authority.pair.key.read_text(),
        scheduler=_scheduler_config(cluster.scheduler_config),
        autoscaling=scaling.of_pods(cluster),
        node_scaling=scaling.of_nodes(cluster, _scheduler_config(cluster.scheduler_config)),
    )


def _scheduler_config(path: str) -> SchedulerConfig:
    """Raises CommandError."""
    if not path:
        return SchedulerConfig()
    try:
        return read_config(Path(path).read_text())
    except (OSError, ConfigError) as error:
        raise CommandError(f"--scheduler-config {path}: {error}") from None
