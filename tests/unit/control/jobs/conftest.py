from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ..cluster import TestCluster, running_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[TestCluster]:
    async with running_cluster() as made:
        yield made
