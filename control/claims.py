"""Adopting and releasing: an owner takes matching objects that no controller owns, and lets go of its own
that match no more.

Both are patches bound to the object's uid, so that two controllers can never both adopt one object unnoticed:
the second patch would make a second controller reference, which the API server refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.errors import StatusError, conflict
from podium.api.types.meta import controller_of, controller_reference, deleting, name_of, namespace_of
from podium.api.types.resources import Resource
from podium.api.types.selectors import Selector
from podium.client.base import Client


def decide(
    owner: Obj, selector: Selector, candidates: Iterable[Obj]
) -> tuple[list[Obj], list[Obj], list[Obj]]:
    """(kept, to adopt, to release) of `candidates`, which are the owner's own objects and orphans of its
    namespace."""
    kept: list[Obj] = []
    adopt: list[Obj] = []
    release: list[Obj] = []
    for obj in candidates:
        matches = selector.matches(obj["metadata"].get("labels"))
        controller = controller_of(obj)
        if controller is not None:
            if controller["uid"] == owner["metadata"]["uid"]:
                (kept if matches else release).append(obj)
        elif matches and not deleting(owner) and not deleting(obj):
            adopt.append(obj)
    return kept, adopt, [] if deleting(owner) else release


class Claimer:
    """Carries the decisions out for owners of one resource and objects of another. Objects get `finalizer`,
    if there is one, with their owner, and lose it with it."""

    def __init__(self, client: Client, owners: Resource, owned: Resource, finalizer: str = "") -> None:
        self._client, self._owners, self._owned = client, owners, owned
        self._added: Obj = {"finalizers": [finalizer]} if finalizer else {}
        self._taken: Obj = {"$deleteFromPrimitiveList/finalizers": [finalizer]} if finalizer else {}

    async def claim(self, owner: Obj, selector: Selector, candidates: Iterable[Obj]) -> list[Obj]:
        """The objects that `owner` controls after adopting and releasing. Raises StatusError when one of
        either fails for another reason than that the object is gone."""
        kept, adopt, release = decide(owner, selector, candidates)
        if adopt:
            await self._recheck(owner)
        adopted = await asyncio.gather(*(self._adopt(owner, obj) for obj in adopt))
        await asyncio.gather(*(self._release(owner, obj) for obj in release))
        return [*kept, *(obj for obj in adopted if obj is not None)]

    async def _recheck(self, owner: Obj) -> None:
        """An owner that is being deleted must adopt nothing, and the cache may not know yet that it is."""
        name = name_of(owner)
        fresh = await self._client.get(self._owners, name, namespace_of(owner))
        if fresh["metadata"]["uid"] != owner["metadata"]["uid"] or deleting(fresh):
            raise conflict(self._owners.plural, name, "it is gone or being deleted, and adopts nothing")

    async def _adopt(self, owner: Obj, obj: Obj) -> Obj | None:
        return await self._patch(obj, [controller_reference(owner)], self._added)

    async def _release(self, owner: Obj, obj: Obj) -> None:
        await self._patch(obj, [{"$patch": "delete", "uid": owner["metadata"]["uid"]}], self._taken)

    async def _patch(self, obj: Obj, references: Sequence[Obj], more: Obj) -> Obj | None:
        meta = obj["metadata"]
        patch = {"metadata": {"ownerReferences": list(references), "uid": meta["uid"], **more}}
        try:
            return await self._client.patch(
                self._owned, meta["name"], patch, meta.get("namespace", ""), kind="strategic"
            )
        except StatusError as error:
            # Gone, or another object under the same name (422: the uid differs): nothing left to claim.
            if error.code not in (404, 422):
                raise
            return None
