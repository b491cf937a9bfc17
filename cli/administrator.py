"""The client of those commands that act on a running cluster, with all rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from podium.cli.cluster import Cluster
from podium.client.https import HttpsClient


@asynccontextmanager
async def administrator(cluster: Cluster) -> AsyncIterator[HttpsClient]:
    client = HttpsClient.from_kubeconfig(cluster.admin_kubeconfig, field_manager="podium")
    try:
        yield client
    finally:
        await client.close()
