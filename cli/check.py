"""`podium check`: whether the cluster could be brought up, before anything costly is done."""

from __future__ import annotations

import argparse

from podium.cli import daemons, preflight
from podium.cli.main import cluster_of


def run(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    if missing := daemons.missing(cluster):
        preflight.check(cluster, [daemon.name for daemon in missing])
    return 0
