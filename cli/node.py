"""`podium node`: the node daemon with its network, its volumes and its API."""

from __future__ import annotations

import argparse
import asyncio
import gc

import uvloop

from podium.cli.cluster import Cluster
from podium.cli.main import cluster_of
from podium.cli.parts import net_config, node_config, server_reachable, volumes
from podium.cli.process import claim_notify_socket, say_ready
from podium.cli.service import configure_logging, raise_file_limit, stop_on_signals, until_stopped
from podium.client.https import HttpsClient
from podium.netd.daemon import Netd
from podium.runtime.cgroups import Cgroups
from podium.runtime.daemon import NodeDaemon
from podium.runtime.nodeapi.interfaces import Node, NodeApiConfig
from podium.runtime.nodeapi.server import NodeServer


def run(options: argparse.Namespace) -> int:
    configure_logging()
    raise_file_limit()
    uvloop.run(serve(cluster_of(options)))
    return 0


async def serve(cluster: Cluster) -> None:
    """Until SIGTERM, which leaves the containers running. Ready once the Node is."""
    stop = stop_on_signals()
    notify = claim_notify_socket()
    config = node_config(cluster)
    client = HttpsClient.from_kubeconfig(cluster.node_kubeconfig, field_manager="podium-node")
    netd = Netd(net_config(cluster), client)
    manager = volumes(cluster, client)
    network: list[asyncio.Task[None]] = []

    async def connect() -> None:
        await netd.start()
        network.append(asyncio.create_task(netd.run(), name="network"))
        await manager.start()

    daemon = NodeDaemon(config, client, netd.pods, manager, connect=connect)
    api = NodeServer(
        Node(
            _api_config(cluster), daemon.pods, daemon.outputs, daemon.containerd, Cgroups(config.cgroup_root)
        )
    )

    async def run_daemon() -> None:
        await server_reachable(cluster)
        await daemon.run()

    running = asyncio.create_task(run_daemon(), name="node daemon")
    ready = asyncio.create_task(daemon.ready.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await api.start()
        await asyncio.wait({running, ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            gc.collect()
            gc.freeze()
            say_ready(notify)
        await until_stopped(stop, running, *network)
    finally:
        ready.cancel()
        stopping.cancel()
        for task in (running, *network):
            task.cancel()
        await asyncio.gather(running, *network, return_exceptions=True)
        await api.stop()
        await manager.close()
        await client.close()


def _api_config(cluster: Cluster) -> NodeApiConfig:
    config = node_config(cluster)
    return NodeApiConfig(
        node_name=cluster.node_name,
        host=cluster.node_address,
        certificate=str(config.serving_cert),
        key=str(config.serving_key),
        client_ca=str(config.client_ca),
        port=cluster.node_port,
        run_dir=str(cluster.run / "exec"),
    )
