"""Real containers: one containerd of the tests' own for the whole run, and for each test a node on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from podium.api.server import ApiServer
from podium.runtime.archive import load
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.process import OwnContainerd, Paths
from tests.unit.runtime import busybox
from tests.unit.runtime.world import World

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="session")
def node_containerd() -> Iterator[str]:
    """The socket of a containerd that has busybox. Short paths: a socket's must fit into 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="podium-"))
    own = OwnContainerd(Paths(folder / "root", folder / "run"))
    try:
        asyncio.run(_prepare(own, folder))
        yield own.paths.socket
    finally:
        asyncio.run(own.stop())
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare(own: OwnContainerd, folder: Path) -> None:
    await own.ensure()
    busybox.write(folder / "busybox.tar", "busybox", Cmd=["sh"], Env=["PATH=/bin"])
    containerd = Containerd(own.paths.socket)
    await load(containerd, folder / "busybox.tar")
    await containerd.close()


@pytest.fixture
async def world(node_containerd: str) -> AsyncIterator[World]:
    """An API server and a node, both gone without a trace afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="podium-"))
    server = ApiServer()
    await server.start()
    made = World(server.client, folder, node_containerd)
    try:
        await made.prepare()
        await made.start()
        yield made
    finally:
        await made.stop()
        await made.clear()
        await server.close()
        shutil.rmtree(folder)
