"""A few words about every object of the cluster: who it is, who owns it, whether it is being deleted.

Garbage collection and namespace deletion concern all kinds, those of CustomResourceDefinitions too. Caching
all objects in full for that would double the server's memory; this keeps some hundred bytes of each.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import condition_is_true
from podium.api.types.resources import (
    BUILT_IN,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    Resource,
)
from podium.api.types.results import Holder
from podium.client.base import Client
from podium.client.reflector import Reflector

log = logging.getLogger(__name__)

# Events are many, own nothing and expire by themselves; a second version of one kind shows the same objects
# again.
_SKIPPED = (EVENTS, EVENTS_V1, HORIZONTAL_POD_AUTOSCALERS_V1)


class Owner(NamedTuple):
    """One ownerReference. `blocks` is its blockOwnerDeletion."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool


class Record:
    """One object. Compared by identity; replaced, never changed."""

    __slots__ = ("deleting", "finalizers", "name", "namespace", "owners", "resource", "uid")

    def __init__(self, resource: Resource, obj: Obj) -> None:
        meta = obj["metadata"]
        self.resource = resource
        self.namespace: str = sys.intern(meta.get("namespace", ""))
        self.name: str = meta["name"]
        self.uid: str = meta["uid"]
        self.owners = owners_of(obj)
        self.finalizers: tuple[str, ...] = tuple(meta.get("finalizers") or ())
        self.deleting: bool = "deletionTimestamp" in meta

    def __repr__(self) -> str:
        return f"{self.resource.plural} {self.namespace}/{self.name} {self.uid}"

    def same(self, other: Record) -> bool:
        return (self.owners, self.finalizers, self.deleting) == (
            other.owners,
            other.finalizers,
            other.deleting,
        )


def owners_of(obj: Obj) -> tuple[Owner, ...]:
    references = obj["metadata"].get("ownerReferences")
    if not references:
        return ()
    return tuple(
        Owner(
            reference["uid"],
            sys.intern(reference["apiVersion"]),
            sys.intern(reference["kind"]),
            reference["name"],
            bool(reference.get("blockOwnerDeletion")),
        )
        for reference in references
    )


Listener: TypeAlias = Callable[[Record | None, Record | None], None]


def watchable(resources: Iterable[Resource]) -> Iterator[Resource]:
    """Those that are kept, can be followed and can be deleted."""
    needed = {"list", "watch", "delete"}
    return (entry for entry in resources if entry not in _SKIPPED and needed <= set(entry.verbs))


class _Sink:
    """One resource's end of the watch."""

    def __init__(self, watch: MetadataWatch, resource: Resource) -> None:
        self._watch, self._resource = watch, resource
        self.filled = asyncio.Event()

    def replace(self, items: Sequence[Obj], holders: Sequence[Holder] = ()) -> None:
        self._watch.replace(self._resource, items)
        self.filled.set()

    def apply(self, type_: str, obj: Obj, holder: Holder | None = None) -> None:
        if type_ == "DELETED":
            self._watch.remove(obj["metadata"]["uid"])
        else:
            self._watch.put(Record(self._resource, obj))


class _DefinitionSink(_Sink):
    """CustomResourceDefinitions are objects that make resources."""

    def replace(self, items: Sequence[Obj], holders: Sequence[Holder] = ()) -> None:
        super().replace(items)
        for resource in self._watch.custom - {resource_of(obj) for obj in items}:
            self._watch.unfollow(resource)
        for obj in items:
            self._define(obj)

    def apply(self, type_: str, obj: Obj, holder: Holder | None = None) -> None:
        super().apply(type_, obj)
        if type_ == "DELETED":
            self._watch.unfollow(resource_of(obj))
        else:
            self._define(obj)

    def _define(self, obj: Obj) -> None:
        if condition_is_true(obj, "Established"):
            self._watch.follow(resource_of(obj))


def resource_of(definition: Obj) -> Resource:
    """The resource, in its stored version, that a CustomResourceDefinition makes."""
    spec = definition["spec"]
    names = spec["names"]
    stored = next(entry["name"] for entry in spec["versions"] if entry.get("storage"))
    return Resource(spec["group"], stored, names["plural"], names["kind"], spec["scope"] == "Namespaced")


class MetadataWatch:
    """All objects' records by uid, kept current by `run`. Listeners are told of every change, on the loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.records: dict[str, Record] = {}
        self.custom: set[Resource] = set()
        self._kinds = {(entry.api_version, entry.kind): entry for entry in BUILT_IN}
        self._listeners: list[Listener] = []
        self._built_in = {entry: _sink(self, entry) for entry in watchable(BUILT_IN)}
        self._tasks: dict[Resource, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def add_listener(self, listener: Listener) -> None:
        """`listener(old, new)`; to be added before `run`."""
        self._listeners.append(listener)

    def namespaced(self) -> list[Resource]:
        """Every namespaced resource whose objects have a record."""
        return [resource for resource in (*self._built_in, *self.custom) if resource.namespaced]

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind; None for a kind that nothing serves."""
        return self._kinds.get((api_version, kind))

    async def run(self) -> None:
        """Follows everything until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for resource, sink in self._built_in.items():
                    self._start(resource, sink)
        finally:
            self._group = None
            self._tasks.clear()
            self.custom.clear()

    async def synced(self) -> None:
        """Waits until all built-in kinds are listed."""
        for sink in self._built_in.values():
            await sink.filled.wait()

    def _start(self, resource: Resource, sink: _Sink) -> None:
        assert self._group is not None
        reflector = Reflector(self._client, resource, sink)
        self._tasks[resource] = self._group.create_task(
            reflector.run(), name=f"metadata of {resource.plural}"
        )

    def follow(self, resource: Resource) -> None:
        """Adds a custom resource; one that is followed already stays so."""
        if resource not in self.custom and self._group is not None:
            self.custom.add(resource)
            self._kinds[resource.api_version, resource.kind] = resource
            self._start(resource, _Sink(self, resource))

    def unfollow(self, resource: Resource) -> None:
        """Forgets a custom resource and its objects."""
        if resource in self.custom:
            self.custom.discard(resource)
            self._kinds.pop((resource.api_version, resource.kind), None)
            self._tasks.pop(resource).cancel()
            self.replace(resource, ())

    def replace(self, resource: Resource, items: Sequence[Obj]) -> None:
        listed = {obj["metadata"]["uid"] for obj in items}
        known = [uid for uid, entry in self.records.items() if entry.resource == resource]
        for uid in known:
            if uid not in listed:
                self.remove(uid)
        for obj in items:
            self.put(Record(resource, obj))

    def put(self, record: Record) -> None:
        old = self.records.get(record.uid)
        if old is None or not old.same(record):
            self.records[record.uid] = record
            self._tell(old, record)

    def remove(self, uid: str) -> None:
        old = self.records.pop(uid, None)
        if old is not None:
            self._tell(old, None)

    def _tell(self, old: Record | None, new: Record | None) -> None:
        for listener in self._listeners:
            try:
                listener(old, new)
            except Exception:  # one listener's fault must not cost the others their event
                log.exception("a listener failed for %r", new or old)


def _sink(watch: MetadataWatch, resource: Resource) -> _Sink:
    made = _DefinitionSink if resource == CUSTOM_RESOURCE_DEFINITIONS else _Sink
    return made(watch, resource)
