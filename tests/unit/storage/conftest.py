"""A volume manager on a folder of its own, whose mounts are gone after the test, whatever happens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from podium.storage.kernel import mounts_below, unmount
from podium.storage.manager import VolumeManager

from ..clock import FakeClock
from .server import MemoryClient


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pods_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "pods"
    folder.mkdir()
    yield folder
    for point in mounts_below(folder):
        unmount(point)


@pytest.fixture
async def manager(client: MemoryClient, clock: FakeClock, pods_dir: Path) -> AsyncIterator[VolumeManager]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = VolumeManager(client, node_name="n1", pods_dir=pods_dir, now=lambda: client.now, clock=clock)
    yield made
    await made.close()
    await asyncio.sleep(0)
    assert client.watching == []
