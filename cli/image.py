"""`podium image`: archives into the containerds of the nodes, what is there, and out of them again."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from podium.cli import nodes
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.nodes import LocalNode
from podium.cli.parts import node_config
from podium.runtime import references
from podium.runtime.archive import ArchiveError, load
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.daemon import import_lock
from podium.runtime.imagefolder import alone
from podium.runtime.imageremoval import InUse, remove


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
    elif options.action == "rm":
        _run(_remove(chosen, options.images, force=options.force))
    else:
        _run(_list(chosen))
    return 0


def _runs(node: LocalNode) -> bool:
    return Path(node.settings.containerd_socket).exists()


def load_archives(wanted: list[LocalNode], archives: list[str]) -> None:
    """Imports archives into the containerds of these nodes and prints the names they bring. Raises
    CommandError."""
    if "-" not in archives:
        _run(_load(wanted, archives))
        return
    with tempfile.NamedTemporaryFile(prefix="podium-image-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        _run(_load(wanted, [file.name if archive == "-" else archive for archive in archives]))


def _run(action: Coroutine[None, None, None]) -> None:
    try:
        asyncio.run(action)
    except (ArchiveError, ContainerdError, InUse, references.InvalidName, OSError) as error:
        raise CommandError(str(error)) from error


@asynccontextmanager
async def _containerd(node: LocalNode) -> AsyncIterator[Containerd]:
    containerd = Containerd(node.settings.containerd_socket)
    try:
        yield containerd
    finally:
        await containerd.close()


async def _load(wanted: list[LocalNode], archives: list[str]) -> None:
    brought = await asyncio.gather(*(_load_into(node, archives) for node in wanted))
    for name in brought[0]:
        print(f"loaded {name}")


async def _load_into(node: LocalNode, archives: list[str]) -> list[str]:
    async with _containerd(node) as containerd, alone(import_lock(node_config(node.settings))):
        await containerd.ensure_namespace()
        return [name for archive in archives for name in await load(containerd, Path(archive))]


async def _list(wanted: list[LocalNode]) -> None:
    """The images of these nodes, each once."""
    found = set()
    for node in wanted:
        async with _containerd(node) as containerd:
            found |= {str(image.name) for image in await containerd.images.list()}
    for name in sorted(found):
        print(name)


async def _remove(wanted: list[LocalNode], names: list[str], *, force: bool) -> None:
    """Nothing is removed anywhere when an image is nowhere, or in use on some node."""
    full = [str(references.parse(name)) for name in names]
    removed: set[str] = set()
    for dry in (True, False):
        for node in wanted:
            async with _containerd(node) as containerd:
                for name in full:
                    if await remove(containerd, name, force=force, dry=dry):
                        removed.add(name)
        if missing := [name for name in full if name not in removed]:
            raise CommandError(f"no such image: {', '.join(missing)}")
    for name in full:
        print(f"removed {name}")
