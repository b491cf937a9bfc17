"""A server that asks who may do what, and an administrator who can act as anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from podium.api.server import ApiServer, ServerConfig
from tests.unit.api.http.harness import Http, Reply

RBAC = "/apis/rbac.authorization.k8s.io/v1"
# As whom, method, path, body.
As = Callable[..., Awaitable[Reply]]


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer(ServerConfig(authorization=("Node", "RBAC")))
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
    client = Http(server, address, server.admin())
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def nobody(server: ApiServer, address: tuple[str, int]) -> AsyncIterator[Http]:
    client = Http(server, address, None)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def acting(http: Http) -> As:
    """`acting(user, method, path, body, *groups)`."""

    async def ask(
        user: str, method: str, path: str, body: Any = None, group: str = "", media_type: str = ""
    ) -> Reply:
        headers = {"Impersonate-User": user}
        if group:
            headers["Impersonate-Group"] = group
        if media_type:
            headers["Content-Type"] = media_type
        return await http(method, path, body, headers)

    return ask
