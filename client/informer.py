"""A resource's objects in memory, kept current by a watch, with indexes and change handlers.

Objects in here are read-only for everybody. An object is replaced, never changed, so whoever holds one holds
a snapshot. In the server's own process the cache holds what the store holds anyway, encoded; an object that
nobody looked at for a while is decoded again when somebody does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types.resources import Resource
from podium.api.types.results import Holder
from podium.api.types.selectors import Selector
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.reflector import Reflector

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Obj | None, Obj | None], None]
Indexer: TypeAlias = Callable[[Obj], Iterable[str]]
Objects: TypeAlias = list[Obj]
_Key: TypeAlias = tuple[str, str]


class Kept:
    """The holder of an object that came by itself."""

    __slots__ = ("obj",)

    def __init__(self, obj: Obj) -> None:
        self.obj = obj

    @property
    def labels(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("labels") or {}


class Index:
    """Values of one indexer → the objects that have them."""

    def __init__(self, function: Indexer) -> None:
        self._function = function
        self._keys: dict[str, dict[_Key, None]] = {}

    def update(self, key: _Key, old: Obj | None, new: Obj | None) -> None:
        before = set(self._function(old)) if old is not None else set()
        after = set(self._function(new)) if new is not None else set()
        for value in before - after:
            members = self._keys[value]
            del members[key]
            if not members:
                del self._keys[value]
        for value in after - before:
            self._keys.setdefault(value, {})[key] = None

    def keys(self, value: str) -> Iterable[_Key]:
        return self._keys.get(value, ())


class Informer:
    """The cache of one resource (of one namespace, or selection, if given). `run` keeps it; many may read
    it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        indexers: dict[str, Indexer] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.resource = resource
        self._reflector = Reflector(
            client, resource, self, namespace=namespace, labels=labels, fields=fields, clock=clock
        )
        self._held: dict[_Key, Holder] = {}
        self._namespaces: dict[str, dict[_Key, None]] = {}
        self._indexes = {name: Index(function) for name, function in (indexers or {}).items()}
        self._handlers: list[Handler] = []
        self._first = asyncio.Event()

    async def run(self) -> None:
        """Lists and watches until cancelled. The cache stays readable, and as it was, while the server is
        away."""
        await self._reflector.run()

    async def synced(self) -> None:
        """Waits until the first list is in."""
        await self._first.wait()

    @property
    def has_synced(self) -> bool:
        return self._first.is_set()

    def add_handler(self, handler: Handler) -> None:
        """`handler(old, new)` is called on the loop for every change from now on, and at once with (None,
        object) for what is cached already. `old` is None for a new object, `new` for a deleted one."""
        self._handlers.append(handler)
        for holder in list(self._held.values()):
            self._call(handler, None, holder.obj)

    def add_indexer(self, name: str, function: Indexer) -> None:
        """Adds an index, also to a cache that is filled already. A name that exists keeps its function."""
        if name in self._indexes:
            return
        index = self._indexes[name] = Index(function)
        for key, holder in self._held.items():
            index.update(key, None, holder.obj)

    def get(self, name: str, namespace: str = "") -> Obj | None:
        held = self._held.get((namespace, name))
        return held.obj if held is not None else None

    def list(self, namespace: str = "") -> list[Obj]:
        """All objects, or those of one namespace."""
        return [holder.obj for holder in self._holders(namespace)]

    def selected(self, selector: Selector, namespace: str = "") -> Objects:
        """As `list`, of those with such labels; the others are not decoded for it."""
        return [holder.obj for holder in self._holders(namespace) if selector.matches(holder.labels)]

    def _holders(self, namespace: str) -> Iterable[Holder]:
        if not namespace:
            return [*self._held.values()]
        return [self._held[key] for key in self._namespaces.get(namespace, ())]

    def by_index(self, indexer: str, key: str) -> Objects:
        return [self._held[found].obj for found in self._indexes[indexer].keys(key)]

    def replace(self, items: Sequence[Obj], holders: Sequence[Holder] = ()) -> None:
        """The reflector's: a full list. Objects that are not in it were deleted while nobody watched."""
        holders = holders or [Kept(obj) for obj in items]
        listed = {_key(obj): holder for obj, holder in zip(items, holders, strict=True)}
        for key in [key for key in self._held if key not in listed]:
            self._set(key, None)
        for key, holder in listed.items():
            self._set(key, holder)
        self._first.set()

    def apply(self, type_: str, obj: Obj, holder: Holder | None = None) -> None:
        """The reflector's: one change."""
        self._set(_key(obj), None if type_ == "DELETED" else holder or Kept(obj), obj)

    def _set(self, key: _Key, holder: Holder | None, last: Obj | None = None) -> None:
        """`last` is a deleted object's final state, which handlers get to see as `old`."""
        had = self._held.get(key)
        old, new = had.obj if had is not None else None, holder.obj if holder is not None else None
        if old is not None and new is not None and _same(old, new):
            return
        if old is None and new is None:
            return
        if old is not None and new is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            # Deleted and made again while nobody watched: two objects that share a name.
            self._set(key, None)
            old = None
        self._store(key, holder)
        for index in self._indexes.values():
            index.update(key, old, new)
        before = last if new is None and last is not None else old
        for handler in tuple(self._handlers):
            self._call(handler, before, new)

    def _store(self, key: _Key, holder: Holder | None) -> None:
        members = self._namespaces.setdefault(key[0], {})
        if holder is not None:
            self._held[key] = holder
            members[key] = None
            return
        del self._held[key]
        del members[key]
        if not members:
            del self._namespaces[key[0]]

    def _call(self, handler: Handler, old: Obj | None, new: Obj | None) -> None:
        try:
            handler(old, new)
        except Exception:  # one handler's fault must not cost the others their event
            log.exception("%s: a change handler failed", self.resource.plural)


def _key(obj: Obj) -> _Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _same(old: Obj, new: Obj) -> bool:
    version: str = new["metadata"].get("resourceVersion", "")
    return bool(version) and version == old["metadata"].get("resourceVersion")
