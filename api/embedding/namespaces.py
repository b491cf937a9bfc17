"""Namespaces of tests: made under a new name, and removed where no controller does it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from podium.api.local import LocalClient
from podium.api.server import ApiServer
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import suffix
from podium.api.types.resources import NAMESPACES, Resource

GONE = frozenset({404, 409})


async def create_namespace(client: LocalClient, prefix: str) -> str:
    name = f"{prefix}{suffix()}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    return name


async def remove_namespace(server: ApiServer, name: str) -> None:
    """Idempotent. From the moment the namespace is being deleted nothing new comes into it."""
    client = server.client
    if not await _done(client.delete(NAMESPACES, name)):
        return
    for resource in server.resources():
        if resource.namespaced and {"list", "delete"} <= set(resource.verbs):
            for obj in (await client.list(resource, name)).items:
                await _remove(client, resource, obj)
    try:
        namespace = await client.get(NAMESPACES, name)
        bare = {**namespace, "spec": {**namespace["spec"], "finalizers": []}}
        await client.update(NAMESPACES, bare, subresource="finalize")
    except StatusError as error:
        if error.code not in GONE:
            raise


async def _remove(client: LocalClient, resource: Resource, obj: Obj) -> None:
    meta = obj["metadata"]
    name, namespace = meta["name"], meta["namespace"]
    await _done(client.delete(resource, name, namespace, grace_seconds=0))
    if meta.get("finalizers"):
        await _done(client.patch(resource, name, {"metadata": {"finalizers": None}}, namespace))


async def _done(request: Awaitable[Any]) -> bool:
    """False when somebody else was first."""
    try:
        await request
    except StatusError as error:
        if error.code not in GONE:
            raise
        return False
    return True
