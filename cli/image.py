"""`podium image`: archives into the containerds of the nodes, and what is there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from pathlib import Path

from podium.cli import nodes
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.nodes import LocalNode
from podium.runtime.archive import ArchiveError, load
from podium.runtime.containerd import Containerd, ContainerdError


def run(options: argparse.Namespace) -> int:
    cluster = Cluster.load(options.data_dir)
    running = [] if cluster is None else [node for node in nodes.everyone(cluster) if _runs(node)]
    chosen = [node for node in running if options.node in ("", node.name)]
    if not chosen:
        whose = f"node {options.node!r} of the cluster" if options.node else "the cluster"
        raise CommandError(
            f"no containerd runs for {whose} in {options.data_dir}: bring it up with podium up"
        )
    if options.action == "load":
        load_archives(chosen, options.archives)
    else:
        _run(_list(chosen))
    return 0


def _runs(node: LocalNode) -> bool:
    return Path(node.settings.containerd_socket).exists()


def load_archives(wanted: list[LocalNode], archives: list[str]) -> None:
    """Imports archives into the containerds of these nodes and prints the names they bring. Raises
    CommandError."""
    _run(_load(wanted, archives))


def _run(action: Coroutine[None, None, None]) -> None:
    try:
        asyncio.run(action)
    except (ArchiveError, ContainerdError, OSError) as error:
        raise CommandError(str(error)) from error


async def _load(wanted: list[LocalNode], archives: list[str]) -> None:
    brought = await asyncio.gather(*(_load_into(node, archives) for node in wanted))
    for name in brought[0]:
        print(f"loaded {name}")


async def _load_into(node: LocalNode, archives: list[str]) -> list[str]:
    containerd = Containerd(node.settings.containerd_socket)
    try:
        await containerd.ensure_namespace()
        return [name for archive in archives for name in await load(containerd, Path(archive))]
    finally:
        await containerd.close()


async def _list(wanted: list[LocalNode]) -> None:
    """The images of these nodes, each once."""
    found = set()
    for node in wanted:
        containerd = Containerd(node.settings.containerd_socket)
        try:
            found |= {str(image.name) for image in await containerd.images.list()}
        finally:
            await containerd.close()
    for name in sorted(found):
        print(name)
