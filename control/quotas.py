"""Keeps in every ResourceQuota's status what its namespace uses of it.

Admission reckons for itself and does not wait for this: the status is for people and for clients that look at
it. Namespaces without a quota cost nothing but a look at an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

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
from podium.api.types.usage import counted_by, shown, usage, usage_of
from podium.control.controller import Context, Controller
from podium.control.metadata import MetadataWatch, Record

GATHER = 0.1  # seconds that changes of a namespace are gathered
RESYNC = 300.0  # seconds after which usage is reckoned again, should an event have been missed
_BINARY = 1024


def status_of(quota: Obj, objects: Mapping[tuple[str, str], tuple[Resource, Sequence[Obj]]]) -> Obj:
    """The quota's status; `objects` are those of its namespace by (plural, group)."""
    spec = quota.get("spec") or {}
    hard: dict[str, str] = spec.get("hard") or {}
    total: dict[str, Decimal] = {}
    for about in {counted_by(name) for name in hard} & objects.keys():
        resource, items = objects[about]
        total |= usage(items, resource, spec)
    used = {name: like(total.get(name, Decimal(0)), hard[name]) for name in hard}
    return {"hard": dict(hard), "used": used} if hard else {}


def like(amount: Decimal, other: str) -> str:
    """A quantity as text, in the family of units of `other`."""
    if other.endswith("i") and amount and amount % _BINARY == 0:
        return f"{int(amount) // _BINARY}Ki"
    return shown(amount)


def same_status(status: Obj, other: Obj) -> bool:
    """Whether two statuses say the same, however the amounts are written."""
    return all(_amounts(status, key) == _amounts(other, key) for key in ("hard", "used"))


def _amounts(status: Obj, key: str) -> dict[str, Decimal]:
    return {name: quantity.parse(text) for name, text in (status.get(key) or {}).items()}


class QuotaController(Controller):
    """Keys are namespaces."""

    name = "resourcequota-controller"
    workers = 1

    def __init__(self, context: Context, metadata: MetadataWatch) -> None:
        super().__init__(context)
        self.metadata = metadata
        self.quotas = self.watch(RESOURCE_QUOTAS, self._quota_changed)
        for resource in (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS):
            self._follow(resource)
        metadata.add_listener(self._counted)

    def _quota_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Its own status writes end here: nothing is left to write."""
        obj = new or old
        return (namespace_of(obj),) if obj is not None else ()

    def _follow(self, resource: Resource) -> None:
        """Objects of `resource` may come to use more or less while they live."""

        def changed(old: Obj | None, new: Obj | None) -> None:
            if old is None or new is None or not self.quotas.list(namespace_of(new)):
                return
            if usage_of(resource, old) != usage_of(resource, new):
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
            status = status_of(quota, objects)
            if not same_status(status, quota.get("status") or {}):
                await self.client.update(RESOURCE_QUOTAS, {**quota, "status": status}, subresource="status")
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
