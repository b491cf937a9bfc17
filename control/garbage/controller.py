"""The garbage collector at work. Before it deletes or changes anything it asks the API server, never its
records alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.control.controller import Context, Controller
from podium.control.garbage.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    awaits_dependents,
    names,
    orphans_dependents,
)
from podium.control.metadata import MetadataWatch, Owner, Record, owners_of

log = logging.getLogger(__name__)

AT_ONCE = 50  # requests of one deletion in flight


class Verdict(NamedTuple):
    """An object's owners: those that hold it, those that are gone, those that wait for it to go."""

    solid: list[Owner]
    dangling: list[Owner]
    waiting: list[Owner]


class GarbageCollector(Controller):
    """Keys are uids."""

    name = "garbage-collector"
    workers = 16

    def __init__(self, context: Context, metadata: MetadataWatch) -> None:
        super().__init__(context)
        self.metadata = metadata
        self.graph = Graph(metadata.records)
        self.recorder = context.recorder("garbage-collector-controller")
        metadata.add_listener(self._changed)

    def _changed(self, old: Record | None, new: Record | None) -> None:
        for uid in self.graph.changed(old, new):
            self.queue.add(uid)

    async def run(self) -> None:
        # Before everything is listed, every owner looks absent.
        await self.metadata.synced()
        await super().run()

    async def reconcile(self, key: str) -> None:
        record = self.metadata.records.get(key)
        if record is None:
            return
        if orphans_dependents(record):
            await self._orphan(record)
        elif awaits_dependents(record):
            await self._await_dependents(record)
        elif not record.deleting and not self.graph.is_held(record):
            await self._collect(record)

    async def _collect(self, record: Record) -> None:
        """Deletes the object if no owner holds it; else takes off it the owners that are gone or wait for
        it."""
        latest = await self._latest(record)
        owners = owners_of(latest) if latest is not None else ()
        if latest is None or not owners or "deletionTimestamp" in latest["metadata"]:
            return
        verdict = await self._classify(record, owners)
        if verdict.solid:
            if unneeded := {owner.uid for owner in (*verdict.dangling, *verdict.waiting)}:
                await self._drop_owners(record, latest, unneeded)
            return
        dependents = self.graph.dependents(record.uid)
        if verdict.waiting and dependents:
            if any(map(awaits_dependents, dependents)):
                # A cycle of objects that all wait for one another: this one stops blocking its owners.
                latest = await self._unblock(record, latest)
            await self._delete(record, latest, "Foreground")
            return
        finalizers = latest["metadata"].get("finalizers") or ()
        policy = (
            "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
        )
        await self._delete(record, latest, policy)

    async def _latest(self, record: Record) -> Obj | None:
        """The object as it is now; None where it is gone, and where another has its name."""
        try:
            found = await self.client.get(record.resource, record.name, record.namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return found if found["metadata"]["uid"] == record.uid else None

    async def _classify(self, record: Record, owners: Iterable[Owner]) -> Verdict:
        verdict = Verdict([], [], [])
        for owner in owners:
            (await self._bin(record, owner, verdict)).append(owner)
        return verdict

    async def _bin(self, record: Record, owner: Owner, verdict: Verdict) -> list[Owner]:
        known = self.metadata.records.get(owner.uid)
        if known is not None and names(owner, record, known):
            return verdict.waiting if awaits_dependents(known) else verdict.solid
        resource = self.metadata.resource(owner.api_version, owner.kind)
        if resource is None or (resource.namespaced and not record.namespace):
            # An owner that cannot be looked up holds its dependents: better kept than lost.
            message = (
                f"ownerRef {owner.api_version}/{owner.kind} {owner.name} cannot be resolved for {record!r}"
            )
            log.info(message)
            if known is not None:
                self._warn_of_namespace(record, owner)
            return verdict.solid
        try:
            found = await self.client.get(
                resource, owner.name, record.namespace if resource.namespaced else ""
            )
        except StatusError as error:
            if error.code != 404:
                raise
            found = None
        if found is None or found["metadata"]["uid"] != owner.uid:
            if known is not None:
                self._warn_of_namespace(record, owner)
            return verdict.dangling
        return verdict.waiting if awaits_dependents(Record(resource, found)) else verdict.solid

    def _warn_of_namespace(self, record: Record, owner: Owner) -> None:
        """The owner exists, but not where the reference may point: owners are in the same namespace or in
        none."""
        message = (
            f"ownerRef [{owner.api_version}/{owner.kind}, namespace: {record.namespace}, name: {owner.name}, "
            f'uid: {owner.uid}] does not exist in namespace "{record.namespace}"'
        )
        self.recorder.event(_reference(record), "Warning", "OwnerRefInvalidNamespace", message)

    async def _delete(self, record: Record, latest: Obj, policy: str) -> None:
        try:
            await self.client.delete(
                record.resource,
                record.name,
                record.namespace,
                uid=record.uid,
                resource_version=latest["metadata"]["resourceVersion"],
                propagation=policy,
            )
        except StatusError as error:
            if error.code != 404:
                raise

    async def _await_dependents(self, record: Record) -> None:
        """Lets the object go once nothing blocks it; until then has what blocks it looked at."""
        blocking = self.graph.blocking(record.uid)
        if not blocking:
            await self._remove_finalizer(record, FOREGROUND)
        for dependent in blocking:
            if not dependent.deleting:
                self.queue.add(dependent.uid)

    async def _orphan(self, record: Record) -> None:
        """Takes the object off all its dependents, and only then lets it go."""
        dependents = self.graph.dependents(record.uid)
        for start in range(0, len(dependents), AT_ONCE):
            batch = dependents[start : start + AT_ONCE]
            await asyncio.gather(*(self._release(dependent, record.uid) for dependent in batch))
        await self._remove_finalizer(record, ORPHAN)

    async def _release(self, dependent: Record, owner: str) -> None:
        latest = await self._latest(dependent)
        if latest is not None and any(entry.uid == owner for entry in owners_of(latest)):
            await self._drop_owners(dependent, latest, {owner})

    async def _drop_owners(self, record: Record, latest: Obj, uids: set[str]) -> None:
        references = latest["metadata"].get("ownerReferences") or ()
        kept = [reference for reference in references if reference["uid"] not in uids]
        await self._patch(record, latest, {"ownerReferences": kept or None})

    async def _unblock(self, record: Record, latest: Obj) -> Obj:
        references = latest["metadata"].get("ownerReferences") or ()
        unblocking = [{**reference, "blockOwnerDeletion": False} for reference in references]
        return await self._patch(record, latest, {"ownerReferences": unblocking}) or latest

    async def _remove_finalizer(self, record: Record, finalizer: str) -> None:
        latest = await self._latest(record)
        finalizers = latest["metadata"].get("finalizers") or () if latest is not None else ()
        if latest is not None and finalizer in finalizers:
            kept = [entry for entry in finalizers if entry != finalizer]
            await self._patch(record, latest, {"finalizers": kept or None})

    async def _patch(self, record: Record, latest: Obj, metadata: Obj) -> Obj | None:
        """A change of the object as it was last read; a conflict is tried again by the queue."""
        version = latest["metadata"]["resourceVersion"]
        patch = {"metadata": {**metadata, "resourceVersion": version}}
        try:
            return await self.client.patch(record.resource, record.name, patch, record.namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None


def _reference(record: Record) -> Obj:
    return {
        "apiVersion": record.resource.api_version,
        "kind": record.resource.kind,
        "namespace": record.namespace,
        "name": record.name,
        "uid": record.uid,
    }
