"""`podium down`: nothing is left on the machine but the cluster's objects, images and certificates, and with
--purge
not even those."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from podium.cli import daemons, preflight
from podium.cli.cluster import Cluster
from podium.cli.lock import alone
from podium.cli.service import configure_logging
from podium.client import kubeconfig

STOP_TIMEOUT = 20.0


def run(options: argparse.Namespace) -> int:
    preflight.root()
    with alone(Path(options.data_dir), lambda: _say("==> Waiting for another podium command")):
        return _take_down(options)


def _take_down(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    if cluster is None:
        print(f"There is no cluster in {options.data_dir}.")
        return 0
    _say("==> Stopping the node")
    daemons.node(cluster).stop(STOP_TIMEOUT)
    _say("==> Ending its pods")
    configure_logging()
    asyncio.run(clear(cluster))
    _say("==> Stopping the server")
    daemons.server(cluster).stop(STOP_TIMEOUT)
    kubeconfig.remove_context(daemons.user_kubeconfig(options.kubeconfig), cluster.name)
    shutil.rmtree(cluster.run, ignore_errors=True)
    if options.purge:
        _say(f"==> Removing {cluster.data}")
        shutil.rmtree(cluster.data)
    print("The cluster is down." if options.purge else "The cluster is down; its objects are kept.")
    return 0


async def clear(cluster: Cluster) -> None:
    """Ends what runs in pods and undoes what was done for them: volumes, namespaces, links, tables."""
    from podium.cli.parts import net_config, node_config, volumes
    from podium.client.https import HttpsClient
    from podium.netd import host
    from podium.runtime.config import Layout
    from podium.runtime.teardown import stop_node

    config = node_config(cluster)
    client = HttpsClient.from_kubeconfig(cluster.node_kubeconfig)
    try:
        await stop_node(config, None, volumes(cluster, client))
    finally:
        await client.close()
    host.teardown(net_config(cluster), netns_dir=Layout.of(config).netns_dir)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
