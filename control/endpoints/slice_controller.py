"""Keeps the EndpointSlices of every Service with a selector."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of, namespace_of, split_key
from podium.api.types.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from podium.control.controller import Context, Controller, own_key
from podium.control.endpoints.selection import (
    BY_SELECTOR,
    by_selector,
    concerned,
    selected,
    selector_of,
    services_of,
)
from podium.control.endpoints.slices import MANAGED_BY, MANAGER, SERVICE_NAME, ZONE, plan
from podium.control.pods import BY_NODE, by_node
from podium.control.written import Written

BATCH = 0.02  # seconds that changes of pods are gathered: a rollout changes many at once
BY_SERVICE = "service"


def by_service(entry: Obj) -> Iterable[str]:
    """The indexer BY_SERVICE: `namespace/service` of the slices that this controller manages."""
    labels = entry["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) == MANAGER and labels.get(SERVICE_NAME):
        yield f"{namespace_of(entry)}/{labels[SERVICE_NAME]}"


class EndpointSliceController(Controller):
    name = "endpointslice-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("endpoint-slice-controller")
        self.services = self.watch(SERVICES, own_key, {BY_SELECTOR: by_selector})
        self.slices = self.watch(ENDPOINT_SLICES, self._slice_changed, {BY_SERVICE: by_service})
        self.written = Written(self.slices)
        self.pods = self.watch(PODS, None, {BY_NODE: by_node})
        self.nodes = self.watch(NODES)
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for entry in (old, new):
            for key in by_service(entry) if entry is not None else ():
                self.written.seen(key, old, new)
                yield key

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in concerned(old, new, self.services):
            self.queue.add_after(key, BATCH)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        """A node that comes, goes or moves to another zone changes the endpoints on it; its heartbeats do
        not."""
        if old is not None and new is not None and _zone(old) == _zone(new):
            return
        node = new or old
        for pod in self.pods.by_index(BY_NODE, node["metadata"]["name"]) if node is not None else ():
            for key in services_of(pod, self.services):
                self.queue.add_after(key, BATCH)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self.services.get(name, namespace)
        existing = self.slices.by_index(BY_SERVICE, key)
        if service is None:
            # The garbage collector deletes the slices of a Service that is gone.
            self.written.forget(key)
            return
        if deleting(service) or not selector_of(service):
            return
        if not self.written.visible(key):
            # The event that makes it so brings the key back; the pause covers one that was missed.
            self.queue.add_after(key, 1.0)
            return
        todo = plan(service, selected(service, self.pods), self.nodes.get, existing)
        work = [self._create(key, entry) for entry in todo.create]
        work += [self._update(key, entry) for entry in todo.update]
        work += [self._delete(entry) for entry in todo.delete]
        await self._all(service, work)

    async def _all(self, service: Obj, work: Sequence[Awaitable[None]]) -> None:
        results = await asyncio.gather(*work, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if not failures:
            return
        error = failures[0]
        if isinstance(error, StatusError) and not deleting(service) and error.reason != "Conflict":
            message = f"Error updating Endpoint Slices for Service {key_of(service)}: {error}"
            self.recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", message)
        raise error

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


def _zone(node: Obj) -> str:
    return str((node["metadata"].get("labels") or {}).get(ZONE, ""))
