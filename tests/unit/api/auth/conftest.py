"""A server that asks who may do what, and an administrator who can act as anybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.api.server import ServerConfig
from tests.unit.api.http.conftest import address, http, nobody, server
from tests.unit.api.http.harness import Http, Reply

__all__ = ["address", "http", "nobody", "server"]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
# As whom, method, path, body.
As = Callable[..., Awaitable[Reply]]


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(authorization=("Node", "RBAC"))


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
