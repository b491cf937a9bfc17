"""A server's objects in memory, behind the client contract: what the volume manager asks for, and no more."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import not_found, unavailable
from podium.api.types.resources import SERVICE_ACCOUNTS, Resource
from podium.client.base import Client, ObjList, PatchType, WatchEvent

from ..frozen import freeze


class MemoryClient(Client):
    """`put` and `remove` are the other clients. Tokens are numbered and last as long as asked for, by
    `now`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.version = 0
        self.now = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        self.token_requests: list[Obj] = []
        self.tokens_fail = False
        self.watching: list[tuple[str, str, str]] = []
        self._watchers: dict[tuple[str, str, str], list[asyncio.Queue[WatchEvent]]] = {}

    def put(self, resource: Resource, obj: dict[str, Any]) -> Obj:
        self.version += 1
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(self.version)
        key = (resource.plural, stored["metadata"].get("namespace", ""), stored["metadata"]["name"])
        event = "MODIFIED" if key in self.objects else "ADDED"
        found: Obj = freeze(stored)
        self.objects[key] = found
        self._tell(key, WatchEvent(event, found))
        return found

    def remove(self, resource: Resource, name: str, namespace: str) -> None:
        key = (resource.plural, namespace, name)
        self._tell(key, WatchEvent("DELETED", self.objects.pop(key)))

    def _tell(self, key: tuple[str, str, str], event: WatchEvent) -> None:
        for queue in self._watchers.get(key, ()):
            queue.put_nowait(event)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        try:
            return self.objects[(resource.plural, namespace, name)]
        except KeyError:
            raise not_found(resource.plural, name) from None

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjList:
        found = self.objects.get((resource.plural, namespace, _name(fields)))
        return ObjList([found] if found is not None else [], str(self.version))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:
        key = (resource.plural, namespace, _name(fields))
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watchers.setdefault(key, []).append(queue)
        self.watching.append(key)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers[key].remove(queue)
            self.watching.remove(key)

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        assert (resource, subresource) == (SERVICE_ACCOUNTS, "token")
        if self.tokens_fail:
            raise unavailable("the server is away")
        self.token_requests.append({"namespace": namespace, "name": name, **obj})
        expires = self.now + timedelta(seconds=obj["spec"]["expirationSeconds"])
        status = {"token": f"token-{len(self.token_requests)}", "expirationTimestamp": expires.isoformat()}
        return {**obj, "status": status}

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        raise NotImplementedError

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | list[Obj],
        namespace: str = "",
        *,
        kind: PatchType = "merge",
        subresource: str = "",
    ) -> Obj:
        raise NotImplementedError

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
    ) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        return


def _name(fields: str) -> str:
    """A node may ask for named objects only."""
    key, _, name = fields.partition("=")
    assert key == "metadata.name", fields
    return name
