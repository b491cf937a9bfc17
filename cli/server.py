"""`podium server`: API server, scheduler and controllers in one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
from importlib import import_module

import uvloop

from podium.api.auth.configuration import ConfigError
from podium.api.server import ApiServer, ServerConfig
from podium.api.store.sqlite import SqliteStore
from podium.cli import access, clusterinfo, operating
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.main import cluster_of
from podium.cli.process import claim_notify_socket, say_ready
from podium.cli.reloading import Reloading
from podium.cli.service import configure_logging, raise_file_limit, stop_on_signals, until_stopped

# What requests leave behind is freed without the collector. It looks for cycles among few objects at a time,
# since nobody is served meanwhile, and seldom among all of them.
COLLECT = (500, 5, 800)
CONDUCTOR = "podium.cli.conductor"


def run(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    configure_logging(cluster.logging_format)
    raise_file_limit()
    # Until all of it is there.
    gc.disable()
    uvloop.run(serve(cluster))
    return 0


async def serve(cluster: Cluster) -> None:
    """Until SIGTERM. Ready once it listens; the controllers start then."""
    if cluster.scheduler_config:
        # A mistake in it is to be told before anything runs.
        import_module(CONDUCTOR).check(cluster)
    stop = stop_on_signals()
    notify = claim_notify_socket()
    folder = cluster.data / "server"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    codec = operating.encryption(cluster)
    store = SqliteStore(folder / "podium.db", codec=codec)
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
        request_timeout=cluster.request_timeout,
        max_requests_inflight=cluster.max_requests_inflight,
        max_mutating_requests_inflight=cluster.max_mutating_requests_inflight,
        audit=audit,
        **access.service_accounts(cluster),
        authentication=access.authentication(cluster),
        authorization=access.authorization(cluster),
        enabled_admission=access.listed(cluster.enable_admission_plugins),
        disabled_admission=access.listed(cluster.disable_admission_plugins),
        pod_security=access.pod_security(cluster),
        quota_limits=access.quota_limits(cluster),
        flags=operating.flags(cluster),
    )
    server = ApiServer(config, store)
    try:
        await server.start()
    except ConfigError as error:
        raise CommandError(str(error)) from None
    await clusterinfo.publish(server.client, cluster, server.ca_file.read_text())
    parts: list[asyncio.Task[None]] = []
    if codec is not None and (keys := operating.encryption_file(cluster)) is not None:
        reloading = Reloading(keys, codec, store)
        server.collectors.append(reloading.families)
        parts.append(asyncio.create_task(reloading.run(), name="encryption keys"))
    try:
        for host in dict.fromkeys(("127.0.0.1", cluster.node_address)):
            await server.serve(host, cluster.api_port)
        say_ready(notify)
        parts.append(asyncio.create_task(_conduct(cluster, server), name="controllers"))
        await until_stopped(stop, *parts)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await server.close()
        await store.close()
        if audit is not None:
            await asyncio.to_thread(audit.sink.close)


async def _conduct(cluster: Cluster, server: ApiServer) -> None:
    """The controllers are large: they are loaded while the server already answers."""
    conductor = await asyncio.to_thread(import_module, CONDUCTOR)
    manager = conductor.manager(cluster, server)
    # What is there now stays: the collector need not look at it, not even once, which would take a while.
    gc.freeze()
    gc.set_threshold(*COLLECT)
    gc.enable()
    await manager.run()
