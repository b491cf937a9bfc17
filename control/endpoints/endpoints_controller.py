"""Keeps the Endpoints object of every Service with a selector."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of, split_key
from podium.api.types.resources import ENDPOINTS, PODS, SERVICES
from podium.control.controller import Context, Controller, own_key
from podium.control.endpoints.selection import (
    BY_SELECTOR,
    HEADLESS,
    by_selector,
    concerned,
    is_headless,
    selected,
    selector_of,
)
from podium.control.endpoints.subsets import subsets, truncated

BATCH = 0.05  # seconds that changes of pods are gathered: few read Endpoints any more
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


class EndpointsController(Controller):
    name = "endpoint-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self._orphaned: set[str] = (
            set()
        )  # Services deleted while we watched: their Endpoints go, whoever wrote them
        self.services = self.watch(SERVICES, self._service_changed, {BY_SELECTOR: by_selector})
        self.endpoints = self.watch(ENDPOINTS, self._endpoints_changed)
        self.pods = self.watch(PODS)
        self.pods.add_handler(self._pod_changed)

    def _service_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for key in own_key(old, new):
            if new is None:
                self._orphaned.add(key)
            else:
                self._orphaned.discard(key)
            yield key

    def _endpoints_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        entry = new or old
        if entry is not None and (new is None or _is_managed(entry)):
            yield key_of(entry)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in concerned(old, new, self.services):
            self.queue.add_after(key, BATCH)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service, current = self.services.get(name, namespace), self.endpoints.get(name, namespace)
        if service is None:
            if current is not None and (key in self._orphaned or _is_managed(current)):
                await self._delete(current)
            self._orphaned.discard(key)
            return
        if deleting(service) or not selector_of(service):
            return
        wanted = build(service, subsets(service, selected(service, self.pods)), current)
        if current is not None and _says(wanted) == _says(current):
            return
        await self._write(service, wanted, exists=current is not None)

    async def _write(self, service: Obj, wanted: Obj, *, exists: bool) -> None:
        try:
            if exists:
                await self.client.update(ENDPOINTS, wanted)
            else:
                await self.client.create(ENDPOINTS, wanted)
        except StatusError as error:
            if error.reason not in ("Conflict", "AlreadyExists", "Forbidden"):
                verb, reason = (
                    ("update", "FailedToUpdateEndpoint") if exists else ("create", "FailedToCreateEndpoint")
                )
                message = f"Failed to {verb} endpoint for service {key_of(service)}: {error}"
                self.recorder.event(service, "Warning", reason, message)
            raise

    async def _delete(self, entry: Obj) -> None:
        meta = entry["metadata"]
        try:
            await self.client.delete(ENDPOINTS, meta["name"], meta["namespace"], uid=meta["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def build(service: Obj, found: list[Obj], current: Obj | None) -> Obj:
    """The Endpoints object that the Service is to have; what others put on the current one's annotations
    stays."""
    kept, over = truncated(found)
    meta = (current or {}).get("metadata") or {}
    annotations = {
        name: text
        for name, text in (meta.get("annotations") or {}).items()
        if name not in (OVER_CAPACITY, TRIGGER_TIME)
    }
    if over:
        annotations[OVER_CAPACITY] = "truncated"
    labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY: MANAGER}
    labels.pop(HEADLESS, None)
    if is_headless(service):
        labels[HEADLESS] = ""
    identity = {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]}
    metadata = {**meta, **identity, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": kept}


def _says(entry: Obj) -> tuple[object, ...]:
    meta = entry["metadata"]
    return entry.get("subsets") or [], meta.get("labels") or {}, meta.get("annotations") or {}


def _is_managed(entry: Obj) -> bool:
    return bool((entry["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER)
