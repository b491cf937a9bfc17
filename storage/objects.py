"""The objects that mounted volumes show, kept current: one watch per object, shared by everybody who shows
it.

Only what pods on this node refer to is ever asked for: the server lets a node see no other Secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.resources import Resource
from podium.client.base import Client
from podium.client.informer import Informer
from podium.storage.errors import failed

SYNC_SECONDS = 10.0


class Reference(NamedTuple):
    """One object by name."""

    resource: Resource
    namespace: str
    name: str


class Holder(NamedTuple):
    """One volume of one pod."""

    uid: str
    volume: str


class _Watched:
    """An object, its watch, and who holds it; lives while somebody does."""

    def __init__(self, informer: Informer, task: asyncio.Task[None]) -> None:
        self.informer = informer
        self.task = task
        self.holders: set[Holder] = set()


class ObjectCache:
    """`changed` is called for every holder of an object that appeared, changed or went."""

    def __init__(self, client: Client, changed: Callable[[Holder], None]) -> None:
        self._client = client
        self._changed = changed
        self._watched: dict[Reference, _Watched] = {}

    def hold(self, reference: Reference, holder: Holder) -> None:
        """Keeps the object current for `holder` until it releases it. Idempotent."""
        watched = self._watched.get(reference)
        if watched is None:
            watched = self._watched[reference] = self._watch(reference)
        watched.holders.add(holder)

    def release(self, uid: str) -> None:
        """For all volumes of a pod. Idempotent."""
        for reference, watched in list(self._watched.items()):
            watched.holders = {holder for holder in watched.holders if holder.uid != uid}
            if not watched.holders:
                watched.task.cancel()
                del self._watched[reference]

    async def get(self, reference: Reference) -> Obj | None:
        """The held object, None if there is none. Raises VolumeError while the server does not answer."""
        informer = self._watched[reference].informer
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                await informer.synced()
        except TimeoutError:
            kind = reference.resource.kind.lower()
            raise failed(f"failed to sync {kind} cache: timed out waiting for the condition") from None
        return informer.get(reference.name, reference.namespace)

    async def close(self) -> None:
        tasks = [watched.task for watched in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _watch(self, reference: Reference) -> _Watched:
        informer = Informer(
            self._client,
            reference.resource,
            namespace=reference.namespace,
            fields=f"metadata.name={reference.name}",
        )

        def handler(old: Obj | None, new: Obj | None) -> None:
            watched = self._watched.get(reference)
            if watched is not None and watched.informer is informer:
                for holder in watched.holders:
                    self._changed(holder)

        informer.add_handler(handler)
        task = asyncio.create_task(informer.run(), name=f"volume-source-{reference.name}")
        return _Watched(informer, task)
