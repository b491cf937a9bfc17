"""The node daemon with its network, its volumes and its API."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from functools import partial

from podium.cli import renewal
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.parts import net_config, node_config, running_config, server_reachable, volumes
from podium.cli.process import claim_notify_socket, say_ready
from podium.cli.service import settle_memory, stop_on_signals, until_stopped
from podium.client.https import HttpsClient
from podium.netd.daemon import Netd
from podium.runtime.cgroups import group_tree
from podium.runtime.config import Layout
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.daemon import NodeDaemon
from podium.runtime.eviction.thresholds import BadThreshold
from podium.runtime.imagecopy import copy
from podium.runtime.imagevolumes import ImagePlugin
from podium.runtime.node import description
from podium.runtime.node.settings import settings
from podium.runtime.nodeapi.interfaces import Node, NodeApiConfig
from podium.runtime.nodeapi.server import NodeServer

log = logging.getLogger(__name__)


async def serve(cluster: Cluster, images_from: str = "") -> None:
    """Until SIGTERM, which leaves the containers running. Ready once the Node is."""
    stop = stop_on_signals()
    notify = claim_notify_socket()
    config = running_config(cluster)
    client = HttpsClient.from_kubeconfig(cluster.node_kubeconfig, field_manager="podium-node")
    netd = Netd(net_config(cluster), client)
    manager = volumes(cluster, client)
    network: list[asyncio.Task[None]] = []

    async def connect() -> None:
        await asyncio.gather(netd.start(), copy_images(images_from, daemon.containerd))
        network.append(asyncio.create_task(netd.run(), name="network"))
        await manager.start()

    try:
        daemon = NodeDaemon(
            config, client, netd.pods, manager, reachable=partial(server_reachable, cluster), connect=connect
        )
    except BadThreshold as error:
        raise CommandError(str(error)) from error
    plugin = ImagePlugin(
        daemon.containerd, daemon.supply, daemon.recorder, Layout.of(config).pods, daemon.ranges
    )
    manager.add_plugin("image", plugin)
    api = NodeServer(
        Node(
            _api_config(cluster),
            daemon.pods,
            daemon.outputs,
            daemon.containerd,
            group_tree(config),
            manager.stats,
            client,
            daemon.meters,
            {"log": lambda: "", "syncloop": daemon.idle},
        )
    )

    async def be_ready() -> None:
        await renewal.certified(cluster, client)
        await api.start()
        await daemon.ready.wait()

    # What machines without systemd are told when they are to go down.
    asyncio.get_running_loop().add_signal_handler(signal.SIGPWR, daemon.shut_down)
    running = asyncio.create_task(daemon.run(), name="node daemon")
    ready = asyncio.create_task(be_ready(), name="node API")
    renewing: asyncio.Task[None] | None = None
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            renewing = asyncio.create_task(renewal.keep(cluster, client, api), name="certificates")
            settle_memory()
            say_ready(notify)
        await until_stopped(stop, running, *network)
    finally:
        parts = [running, ready, *network, *([renewing] if renewing else [])]
        stopping.cancel()
        for task in parts:
            task.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await api.stop()
        await manager.close()
        await client.close()


async def copy_images(socket: str, target: Containerd) -> None:
    """What was imported into the containerd at `socket`, another node's, is here before the first pod is. A
    node without it is better than none."""
    if not await asyncio.to_thread(os.path.exists, socket):
        return
    source = Containerd(socket)
    try:
        await copy(source, target)
    except (ContainerdError, OSError) as error:
        log.warning("cannot copy the images of %s: %s", socket, error)
    finally:
        await source.close()


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
        data_dir=str(config.data_dir),
        image_dir=str(config.data_dir / "containerd"),
        version=description.VERSION,
        settings=settings(config),
    )
