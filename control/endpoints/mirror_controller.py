"""Mirrors Endpoints of Services without a selector into EndpointSlices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, namespace_of, split_key
from podium.api.types.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from podium.control.controller import Context, Controller, own_key
from podium.control.endpoints.mirror import MANAGER, plan, wants_mirror
from podium.control.endpoints.slices import MANAGED_BY, SERVICE_NAME
from podium.control.written import Written

BY_ENDPOINTS = "mirrored-endpoints"


def by_endpoints(entry: Obj) -> Iterable[str]:
    """The indexer BY_ENDPOINTS: `namespace/name` of what a mirror repeats."""
    labels = entry["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) == MANAGER and labels.get(SERVICE_NAME):
        yield f"{namespace_of(entry)}/{labels[SERVICE_NAME]}"


class EndpointSliceMirroring(Controller):
    name = "endpointslicemirroring-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.services = self.watch(SERVICES, _selector_changed)
        self.endpoints = self.watch(ENDPOINTS, own_key)
        self.slices = self.watch(ENDPOINT_SLICES, self._slice_changed, {BY_ENDPOINTS: by_endpoints})
        self.written = Written(self.slices)

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for entry in (old, new):
            for key in by_endpoints(entry) if entry is not None else ():
                self.written.seen(key, old, new)
                yield key

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        entry, service = self.endpoints.get(name, namespace), self.services.get(name, namespace)
        existing = self.slices.by_index(BY_ENDPOINTS, key)
        if entry is None or service is None or deleting(entry) or not wants_mirror(entry, service):
            self.written.forget(key)
            await asyncio.gather(*(self._delete(one) for one in existing))
            return
        if not self.written.visible(key):
            # The event that makes it so brings the key back; the pause covers one that was missed.
            self.queue.add_after(key, 1.0)
            return
        todo = plan(entry, service, existing)
        work: list[Awaitable[None]] = [self._create(key, one) for one in todo.create]
        work += [self._update(key, one) for one in todo.update]
        work += [self._delete(one) for one in todo.delete]
        await asyncio.gather(*work)

    async def _create(self, key: str, entry: Obj) -> None:
        self.written.record(key, await self.client.create(ENDPOINT_SLICES, entry))

    async def _update(self, key: str, entry: Obj) -> None:
        self.written.record(key, await self.client.update(ENDPOINT_SLICES, entry))

    async def _delete(self, entry: Obj) -> None:
        meta = entry["metadata"]
        try:
            await self.client.delete(ENDPOINT_SLICES, meta["name"], meta["namespace"], uid=meta["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _selector_changed(old: Obj | None, new: Obj | None) -> Iterable[str]:
    """A Service that comes, goes, or changes in what decides about mirrors."""
    if old is not None and new is not None:
        before, after = old["spec"], new["spec"]
        if all(before.get(name) == after.get(name) for name in ("selector", "clusterIP")):
            return ()
    return own_key(old, new)
