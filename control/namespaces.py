"""Deletes what is in a namespace that is being deleted, pods first, and lets the namespace go when nothing is
left.

Source: kubernetes.io "Namespaces"; core/v1 NamespaceCondition. What remains (pods shutting down, objects with
finalizers) is not polled: the metadata watch tells when something of the namespace has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.errors import StatusError, unavailable
from podium.api.types.meta import deleting
from podium.api.types.resources import EVENTS, NAMESPACES, PODS, Resource
from podium.control import conditions
from podium.control.controller import Context, Controller, own_key
from podium.control.metadata import MetadataWatch, Record

log = logging.getLogger(__name__)

FINALIZER = "kubernetes"
AT_ONCE = 50  # deletions in flight
GATHER = 0.02  # seconds that disappearances are gathered
RECHECK = 15.0  # seconds after which what remains is looked at again, should an event have been missed
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


@dataclass
class Remains:
    """What deleting a namespace's content has left: counts per `plural.group` and per finalizer, and
    failures."""

    content: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, resource: Resource, items: Sequence[Obj]) -> None:
        self.content[f"{resource.plural}.{resource.group}"] += len(items)
        for obj in items:
            self.finalizers.update(obj["metadata"].get("finalizers") or ())

    @property
    def nothing(self) -> bool:
        return not self.content and not self.failures


def status_of(namespace: Obj, remains: Remains, now: datetime) -> Obj:
    """The namespace's status while it is deleted."""
    troubles = {}
    if remains.failures:
        count, text = len(remains.failures), ", ".join(sorted(remains.failures))
        message = f"Failed to delete all resource types, {count} remaining: {text}"
        troubles["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", message)
    if remains.content:
        text = ", ".join(
            f"{name} has {count} resource instances" for name, count in sorted(remains.content.items())
        )
        message = f"Some resources are remaining: {text}"
        troubles["NamespaceContentRemaining"] = ("SomeResourcesRemain", message)
    if remains.finalizers:
        text = ", ".join(
            f"{name} in {count} resource instances" for name, count in sorted(remains.finalizers.items())
        )
        message = f"Some content in the namespace has finalizers remaining: {text}"
        troubles["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", message)
    entries = list((namespace.get("status") or {}).get("conditions") or ())
    for kind, fine in _FINE.items():
        reason, message = troubles.get(kind, fine)
        entries = _put(
            entries, conditions.make(kind, "True" if kind in troubles else "False", reason, message, now)
        )
    return {"phase": "Terminating", "conditions": entries}


def _put(entries: list[Obj], new: Obj) -> list[Obj]:
    """In place, and with the message renewed also where status and reason stay."""
    current = conditions.find(entries, new["type"])
    if current is None:
        return [*entries, new]
    if current.get("status") == new["status"]:
        new = {**new, "lastTransitionTime": current.get("lastTransitionTime", new["lastTransitionTime"])}
    return [new if entry is current else entry for entry in entries]


class NamespaceController(Controller):
    name = "namespace-controller"
    workers = 4

    def __init__(self, context: Context, metadata: MetadataWatch) -> None:
        super().__init__(context)
        self.metadata = metadata
        self.namespaces = self.watch(NAMESPACES, own_key)
        metadata.add_listener(self._gone)

    def _gone(self, old: Record | None, new: Record | None) -> None:
        if new is None and old is not None and old.namespace:
            namespace = self.namespaces.get(old.namespace)
            if namespace is not None and deleting(namespace):
                self.queue.add_after(old.namespace, GATHER)

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or not deleting(namespace):
            return
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        remains = await self._delete_content(key)
        if remains.nothing:
            await self._finalize(namespace, finalizers)
            return
        await self._write_status(namespace, remains)
        if remains.failures:
            raise unavailable("; ".join(remains.failures))
        self.queue.add_after(key, RECHECK)

    async def _delete_content(self, namespace: str) -> Remains:
        """Pods go first, so that what they use is there until they have ended."""
        remains = Remains()
        await self._delete_all(PODS, namespace, remains)
        if not remains.nothing:
            return remains
        for resource in (*self.metadata.namespaced(), EVENTS):
            if resource != PODS:
                await self._delete_all(resource, namespace, remains)
        return remains

    async def _delete_all(self, resource: Resource, namespace: str, remains: Remains) -> None:
        try:
            listed = await self.client.list(resource, namespace)
            remains.failures += listed.unreadable
            found = listed.items
            doomed = [obj for obj in found if not deleting(obj)]
            for start in range(0, len(doomed), AT_ONCE):
                batch = doomed[start : start + AT_ONCE]
                await asyncio.gather(*(self._delete(resource, obj) for obj in batch))
            left = (await self.client.list(resource, namespace)).items if doomed else found
        except StatusError as error:
            if error.code not in (404, 405):  # a custom resource whose definition has just gone
                remains.failures.append(error.message)
            return
        if left:
            remains.add(resource, left)

    async def _delete(self, resource: Resource, obj: Obj) -> None:
        meta = obj["metadata"]
        try:
            await self.client.delete(
                resource, meta["name"], meta["namespace"], uid=meta["uid"], propagation="Background"
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _write_status(self, namespace: Obj, remains: Remains) -> None:
        status = status_of(namespace, remains, self.context.now())
        if status != namespace.get("status"):
            await self._update({**namespace, "status": status}, "status")

    async def _finalize(self, namespace: Obj, finalizers: Sequence[str]) -> None:
        kept = [entry for entry in finalizers if entry != FINALIZER]
        spec = {**(namespace.get("spec") or {}), "finalizers": kept}
        await self._update({**namespace, "spec": spec}, "finalize")

    async def _update(self, namespace: Obj, subresource: str) -> None:
        try:
            await self.client.update(NAMESPACES, namespace, subresource=subresource)
        except StatusError as error:
            if error.code != 404:
                raise
