"""Mirror pods: what the API shows of static pods. They say how these are, and do nothing else: one that is
deleted comes again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Literal

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.runtime.staticpods.manifest import HASH, MIRROR

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""

_FIRST_DELAY, _LAST_DELAY = 0.5, 30.0


def key_of(pod: Obj) -> Key:
    return meta.namespace_of(pod), str(pod["metadata"]["name"])


def is_mirror(pod: Obj) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


def shows(mirror: Obj | None, static: Obj) -> bool:
    """Whether a mirror is this static pod's, and stays."""
    if mirror is None or meta.deleting(mirror):
        return False
    return bool(mirror["metadata"]["annotations"][MIRROR] == static["metadata"]["annotations"][HASH])


def step(static: Obj | None, mirror: Obj | None) -> Literal["create", "delete", ""]:
    """What is to be done about one name: a static pod that ends keeps its mirror as long, but gets no other.
    Pure."""
    if mirror is None:
        return "create" if static is not None and not meta.deleting(static) else ""
    return "" if static is not None and shows(mirror, static) else "delete"


def mirror_of(static: Obj, node: Obj) -> Obj:
    """What to create. Pure."""
    metadata = static["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
        "controller": True,
    }
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if name in metadata}
    annotations = {**metadata["annotations"], MIRROR: metadata["annotations"][HASH]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**kept, "annotations": annotations, "ownerReferences": [owner]},
        "spec": static["spec"],
    }


class Mirrors:
    """One node's. `statics` gives the static pods that there are, by name; `node` the Node as the API server
    has it, None as long as it was not heard of. `heard` is told of every mirror that comes, changes or goes;
    `look` says that something else has changed."""

    def __init__(
        self, client: Client, statics: Callable[[], Mapping[Key, Obj]], node: Callable[[], Obj | None]
    ) -> None:
        self._client = client
        self._statics = statics
        self._node = node
        self._changed = asyncio.Event()
        self.known: dict[Key, Obj] = {}

    def heard(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            self.known[key_of(new)] = new
        elif old is not None:
            self.known.pop(key_of(old), None)
        self.look()

    def look(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. Begins when all mirrors were heard of."""
        delay = _FIRST_DELAY
        while True:
            self._changed.clear()
            if await self._all():
                delay = _FIRST_DELAY
                await self._changed.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            delay = min(delay * 2, _LAST_DELAY)

    async def _all(self) -> bool:
        """Whether nothing has to be tried again."""
        statics = self._statics()
        done = True
        for key in sorted(statics.keys() | self.known.keys()):
            try:
                await self._one(key, statics.get(key))
            except (StatusError, ConnectionError, TimeoutError) as error:
                log.warning("cannot bring the mirror of static pod %s/%s up to date: %s", *key, error)
                done = False
        return done

    async def _one(self, key: Key, static: Obj | None) -> None:
        """The watch tells of what was done. Raises StatusError, ConnectionError."""
        mirror = self.known.get(key)
        action = step(static, mirror)
        if action == "delete" and mirror is not None:
            await self._delete(mirror)
        elif action == "create" and static is not None and (node := self._node()) is not None:
            await self._client.create(PODS, mirror_of(static, node), key[0])

    async def _delete(self, mirror: Obj) -> None:
        namespace, name = key_of(mirror)
        try:
            await self._client.delete(PODS, name, namespace, grace_seconds=0, uid=mirror["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
