from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .world import World, machine


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A machine of the test's own: whatever it does to links, routes and rules happens in a network
    namespace."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("needs root and nftables")
    with machine(tmp_path):
        yield tmp_path


@pytest.fixture
async def world(host: Path) -> AsyncIterator[World]:
    made = World(host)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
