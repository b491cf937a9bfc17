"""`podium image`: archives into the node's containerd, and what is there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from pathlib import Path

from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.runtime.archive import ArchiveError, load
from podium.runtime.containerd import Containerd, ContainerdError


def run(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    if cluster is None or not Path(cluster.containerd_socket).exists():
        raise CommandError(
            f"no containerd runs for the cluster in {options.data_dir}: bring it up with podium up"
        )
    if options.action == "load":
        load_archives(cluster, options.archives)
    else:
        _run(_list(cluster))
    return 0


def load_archives(cluster: Cluster, archives: list[str]) -> None:
    """Imports archives into the cluster's containerd and prints the names they bring. Raises CommandError."""
    _run(_load(cluster, archives))


def _run(action: Coroutine[None, None, None]) -> None:
    try:
        asyncio.run(action)
    except (ArchiveError, ContainerdError, OSError) as error:
        raise CommandError(str(error)) from error


async def _load(cluster: Cluster, archives: list[str]) -> None:
    containerd = Containerd(cluster.containerd_socket)
    try:
        await containerd.ensure_namespace()
        for archive in archives:
            for name in await load(containerd, Path(archive)):
                print(f"loaded {name}")
    finally:
        await containerd.close()


async def _list(cluster: Cluster) -> None:
    containerd = Containerd(cluster.containerd_socket)
    try:
        for image in sorted(await containerd.images.list(), key=lambda entry: str(entry.name)):
            print(image.name)
    finally:
        await containerd.close()
