"""What clients get back besides single objects; the same types from every transport."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.types import Obj


class ObjList(NamedTuple):
    """A consistent list. Items carry apiVersion and kind and are read-only."""

    items: list[Obj]
    resource_version: str


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK. `object` is read-only. An ERROR is raised, never
    yielded."""

    type: str
    object: Obj
