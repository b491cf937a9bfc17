"""A real server on the loopback: TLS, its own CA, a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium.api.server import ApiServer, ServerConfig
from tests.unit.api.http.harness import Http


@pytest.fixture
def config() -> ServerConfig:
    """Modules that want another server have a fixture of this name."""
    return ServerConfig()


@pytest.fixture
async def server(config: ServerConfig) -> AsyncIterator[ApiServer]:
    server = ApiServer(config)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
async def address(server: ApiServer) -> tuple[str, int]:
    return await server.serve()


@pytest.fixture
async def http(server: ApiServer, address: tuple[str, int]) -> AsyncIterator[Http]:
    """As the cluster's administrator."""
    client = Http(server, address, server.admin())
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def nobody(server: ApiServer, address: tuple[str, int]) -> AsyncIterator[Http]:
    """Without credentials."""
    client = Http(server, address, None)
    try:
        yield client
    finally:
        await client.close()
