"""`podium down`: nothing is left on the machine but the cluster's objects, images and certificates, and with
--purge
not even those."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from podium.cli import clearing, daemons, nodes, preflight
from podium.cli.cluster import Cluster
from podium.cli.lock import alone
from podium.cli.nodes import LocalNode
from podium.cli.service import configure_logging
from podium.client import kubeconfig
from podium.runtime import volatile

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
    everyone = nodes.everyone(cluster)
    _say(f"==> Stopping {len(everyone)} nodes" if len(everyone) > 1 else "==> Stopping the node")
    with ThreadPoolExecutor(len(everyone)) as pool:
        list(pool.map(lambda node: node.daemon.stop(STOP_TIMEOUT), everyone))
    _say("==> Ending their pods" if len(everyone) > 1 else "==> Ending its pods")
    configure_logging()
    asyncio.run(_clear(everyone))
    _say("==> Stopping the server")
    daemons.server(cluster).stop(STOP_TIMEOUT)
    kubeconfig.remove_context(daemons.user_kubeconfig(options.kubeconfig), cluster.name)
    volatile.release(cluster.run)
    shutil.rmtree(cluster.run, ignore_errors=True)
    if options.purge:
        _say(f"==> Removing {cluster.data}")
        shutil.rmtree(cluster.data)
    print("The cluster is down." if options.purge else "The cluster is down; its objects are kept.")
    return 0


async def _clear(everyone: list[LocalNode]) -> None:
    """The first node last: the others are plugged into its bridge."""
    await asyncio.gather(*(clearing.clear(node) for node in everyone[1:]))
    await clearing.clear(everyone[0])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
