"""Which pods belong together: those of the same Services, ReplicaSet, ReplicationController or StatefulSet.
The default spread constraints apply to them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from podium.api.types import Obj
from podium.api.types.selectors import Requirement, Selector, from_label_selector
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import Owner, Shape


class Owners(Protocol):
    """`generation` changes whenever an answer may."""

    generation: int

    def selector(self, shape: Shape) -> Selector | None:
        """Of the pods that belong together with those of `shape`; None where it belongs to nobody."""
        ...


class NoOwners:
    generation = 0

    def selector(self, shape: Shape) -> Selector | None:
        return None


class _Family(NamedTuple):
    namespace: str
    labels: Labels
    owner: Owner | None


class KnownOwners:
    """Kept current by `set_service` and `set_owner` with what their objects select."""

    def __init__(self) -> None:
        self.generation = 0
        self._services: dict[str, dict[str, Labels]] = {}
        self._owners: dict[tuple[str, Owner], Selector] = {}
        self._found: dict[_Family, Selector | None] = {}

    def set_service(self, namespace: str, name: str, service: Obj | None) -> None:
        selector = Labels((service or {}).get("spec", {}).get("selector") or {})
        known = self._services.get(namespace, {})
        if known.get(name, {}) == selector:
            return
        if selector:
            self._services.setdefault(namespace, {})[name] = selector
        else:
            del known[name]
            if not known:
                del self._services[namespace]
        self._changed()

    def set_owner(self, kind: str, namespace: str, name: str, owner: Obj | None) -> None:
        """A ReplicaSet, StatefulSet (label selectors) or ReplicationController (a plain map)."""
        key = (namespace, Owner(kind, name))
        if owner is None:
            if self._owners.pop(key, None) is not None:
                self._changed()
            return
        wanted = owner["spec"].get("selector")
        if kind == "ReplicationController":
            wanted = {"matchLabels": wanted or {}}
        selector = from_label_selector(wanted)
        if self._owners.get(key) != selector:
            self._owners[key] = selector
            self._changed()

    def _changed(self) -> None:
        self.generation += 1
        self._found.clear()

    def selector(self, shape: Shape) -> Selector | None:
        family = _Family(shape.namespace, shape.labels, shape.owner)
        if family not in self._found:
            if len(self._found) > 4096:
                self._found.clear()
            self._found[family] = self._search(family)
        return self._found[family]

    def _search(self, family: _Family) -> Selector | None:
        merged: dict[str, str] = {}
        for selector in self._services.get(family.namespace, {}).values():
            if selector.items() <= family.labels.items():
                merged.update(selector)
        requirements = [Requirement(key, "In", (value,)) for key, value in merged.items()]
        if family.owner is not None:
            owned = self._owners.get((family.namespace, family.owner))
            requirements += owned.requirements if owned is not None else ()
        return Selector(tuple(dict.fromkeys(requirements))) if requirements else None
