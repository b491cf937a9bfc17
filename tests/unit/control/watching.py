"""Waits, by watching, until objects are as a test wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from podium.api.types import Obj
from podium.api.types.resources import Resource

PATIENCE = 20.0  # seconds until a state that never comes fails a test


async def until(
    client: Any, resource: Resource, holds: Callable[[list[Obj]], bool], namespace: str
) -> list[Obj]:
    """The objects of a namespace, or of all for "", once they are as wished."""
    objects: dict[str, Obj] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            found = await client.list(resource, namespace)
            objects = {obj["metadata"]["uid"]: obj for obj in found.items}
            if holds(list(objects.values())):
                return list(objects.values())
            async for event in client.watch(
                resource, namespace, resource_version=found.resource_version, bookmarks=False
            ):
                uid = event.object["metadata"]["uid"]
                if event.type == "DELETED":
                    objects.pop(uid, None)
                else:
                    objects[uid] = event.object
                if holds(list(objects.values())):
                    return list(objects.values())
    except TimeoutError:
        raise AssertionError(f"{resource.plural} never became so: {list(objects.values())}") from None
    raise AssertionError("the watch ended")
