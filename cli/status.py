"""`podium status`: exit code 0 when everything runs, 1 when something does not."""

from __future__ import annotations

import argparse

from podium.cli import daemons
from podium.cli.cluster import Cluster


def run(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    if cluster is None:
        print(f"There is no cluster in {options.data_dir}.")
        return 1
    alive = True
    for daemon in (daemons.server(cluster), daemons.node(cluster)):
        pid = daemon.pid()
        alive = alive and pid is not None
        print(f"{daemon.name}: {f'running, pid {pid}' if pid else 'not running'}")
    return 0 if alive else 1
