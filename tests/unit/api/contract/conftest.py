"""A server that holds its traffic against its documents; at the end of each test nothing may be reported that
the test has not taken out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium.api.server import ApiServer, ServerConfig
from tests.unit.api.http.harness import Http


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer(ServerConfig(check_contract=True))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[Http]:
    client = Http(server, await server.serve(), server.admin())
    try:
        yield client
    finally:
        await client.close()
