"""What clients get back besides single objects; the same types from every transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from podium.api.types import Obj


class Holder(Protocol):
    """Gives one object again and again, though it may not keep it decoded meanwhile: what whoever remembers
    many objects remembers instead of them."""

    @property
    def obj(self) -> Obj: ...

    @property
    def labels(self) -> Mapping[str, str]: ...


class ObjList(NamedTuple):
    """A consistent list. Items carry apiVersion and kind and are read-only. `holders` are those of the items,
    where a transport has them. `unreadable` says of each object that is there, and not among the items, why
    nobody can read it."""

    items: list[Obj]
    resource_version: str
    holders: Sequence[Holder] = ()
    unreadable: Sequence[str] = ()


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK. `object` is read-only. An ERROR is raised, never
    yielded. `holder` is the object's, where a transport has one."""

    type: str
    object: Obj
    holder: Holder | None = None
