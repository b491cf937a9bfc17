"""Keeps in every ResourceQuota's status what its namespace uses of it.

Admission reckons for itself and does not wait for this: the status is for people and for clients that look at
it. Namespaces without a quota cost nothing but a look at an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from podium.api.types import Obj, quantity
from podium.api.types.meta import deleting, namespace_of
from podium.api.types.resources import (
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SERVICES,
    Resource,
)
from podium.api.types.scopes import in_scope
from podium.api.types.usage import Usage, add, counted_by, like, usage_of
from podium.control.controller import Context, Controller
from podium.control.metadata import MetadataWatch, Record

GATHER = 0.1  # seconds that changes of a namespace are gathered
RESYNC = 300.0  # seconds after which usage is reckoned again, should an event have been missed


FOLLOWED = (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS)  # what may come to use more or less while it lives
Reckon: TypeAlias = Callable[[Resource, Obj, datetime], Usage]


class Reckoned:
    """What each object of a followed kind uses, kept for as long as the object stays as it is; of what is
    being deleted the time decides too, so that it is reckoned anew."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Usage]] = {}

    def of(self, resource: Resource, obj: Obj, now: datetime) -> Usage:
        meta = obj["metadata"]
        uid, version = meta.get("uid", ""), meta.get("resourceVersion", "")
        known = self._known.get(uid)
        if known is not None and known[0] == version:
            return known[1]
        found = usage_of(resource, obj, now)
        if resource in FOLLOWED and not deleting(obj):
            self._known[uid] = version, found
        return found

    def forget(self, obj: Obj) -> None:
        self._known.pop(obj["metadata"]["uid"], None)


def status_of(
    quota: Obj,
    objects: Mapping[tuple[str, str], tuple[Resource, Sequence[Obj]]],
    now: datetime,
    reckon: Reckon = usage_of,
) -> Obj:
    """The quota's status; `objects` are those of its namespace by (plural, group)."""
    spec = quota.get("spec") or {}
    hard: dict[str, str] = spec.get("hard") or {}
    total: dict[str, Decimal] = {}
    for about in {counted_by(name) for name in hard} & objects.keys():
        resource, items = objects[about]
        for obj in items:
            if in_scope(resource, obj, spec):
                uses = reckon(resource, obj, now)
                add(total, {name: uses[name] for name in hard.keys() & uses.keys()})
    used = {name: like(total.get(name, Decimal(0)), hard[name]) for name in hard}
    return {"hard": dict(hard), "used": used} if hard else {}


def same_status(status: Obj, other: Obj) -> bool:
    """Whether two statuses say the same, however the amounts are written."""
    return all(_amounts(status, key) == _amounts(other, key) for key in ("hard", "used"))


def _amounts(status: Obj, key: str) -> dict[str, Decimal]:
    return {name: quantity.parse(text) for name, text in (status.get(key) or {}).items()}


def moved(resource: Resource, old: Obj, new: Obj, quota: Obj) -> bool:
    """Whether an object came into a quota's scope, or left it."""
    spec = quota.get("spec") or {}
    return in_scope(resource, old, spec) != in_scope(resource, new, spec)


class QuotaController(Controller):
    """Keys are namespaces."""

    name = "resourcequota-controller"
    workers = 1

    def __init__(self, context: Context, metadata: MetadataWatch) -> None:
        super().__init__(context)
        self.metadata = metadata
        self._reckoned = Reckoned()
        self.quotas = self.watch(RESOURCE_QUOTAS, self._quota_changed)
        for resource in FOLLOWED:
            self._follow(resource)
        metadata.add_listener(self._counted)

    def _quota_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Its own status writes end here: nothing is left to write."""
        obj = new or old
        return (namespace_of(obj),) if obj is not None else ()

    def _follow(self, resource: Resource) -> None:
        """Objects of `resource` may come to use more or less while they live."""

        def changed(old: Obj | None, new: Obj | None) -> None:
            if new is None and old is not None:
                self._reckoned.forget(old)
            if old is None or new is None:
                return
            quotas = self.quotas.list(namespace_of(new))
            now = self.context.now()
            if quotas and (
                self._reckoned.of(resource, old, now) != self._reckoned.of(resource, new, now)
                or any(moved(resource, old, new, quota) for quota in quotas)
            ):
                self.queue.add_after(namespace_of(new), GATHER)

        self.watch(resource).add_handler(changed)

    def _counted(self, old: Record | None, new: Record | None) -> None:
        record = new or old
        if record is None or not record.namespace or (old is not None and new is not None):
            return
        if self.quotas.list(record.namespace):
            self.queue.add_after(record.namespace, GATHER)

    async def reconcile(self, key: str) -> None:
        quotas = [quota for quota in self.quotas.list(key) if not deleting(quota)]
        if not quotas:
            return
        objects = await self._objects(key, quotas)
        for quota in quotas:
            status = status_of(quota, objects, self.context.now(), self._reckoned.of)
            if not same_status(status, quota.get("status") or {}):
                await self.write_status(RESOURCE_QUOTAS, quota, status)
        self.queue.add_after(key, RESYNC)

    async def _objects(
        self, namespace: str, quotas: Iterable[Obj]
    ) -> dict[tuple[str, str], tuple[Resource, Sequence[Obj]]]:
        """What the quotas are about. A kind that nothing serves is left out."""
        names = {name for quota in quotas for name in (quota.get("spec") or {}).get("hard") or {}}
        wanted = {counted_by(name) for name in names}
        found: dict[tuple[str, str], tuple[Resource, Sequence[Obj]]] = {}
        for resource in (*self.metadata.namespaced(), EVENTS):
            about = (resource.plural, resource.group)
            if about in wanted and about not in found:
                found[about] = resource, (await self.client.list(resource, namespace)).items
        return found
