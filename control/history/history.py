"""Keeps an owner's ControllerRevisions in the API server: finds, adopts, makes, renumbers and removes
them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, name_of, namespace_of
from podium.api.types.resources import CONTROLLER_REVISIONS, Resource
from podium.api.types.selectors import from_label_selector
from podium.client.informer import Informer
from podium.control.claims import Claimer
from podium.control.controller import Controller, owner_key
from podium.control.history import revisions
from podium.control.pods import BY_CONTROLLER, by_controller, controlled, orphans
from podium.control.templates import same_template


@dataclass(frozen=True)
class Known:
    """An owner's revisions: its present template's, others of the same template, those of earlier ones.
    `collisions` is how often names met another template's, for the owner's status."""

    current: Obj
    twins: Sequence[Obj]
    olds: Sequence[Obj]
    collisions: int


class History:
    """The revisions of all owners of one kind. `hash_label` names the label that holds a revision's hash."""

    def __init__(self, controller: Controller, owners: Resource, hash_label: str) -> None:
        self._client = controller.client
        self._owners, self._hash_label = owners, hash_label
        self._claimer = Claimer(controller.client, owners, CONTROLLER_REVISIONS)
        self._owner_cache: Informer | None = None
        self.cache = controller.watch(CONTROLLER_REVISIONS, self._changed, {BY_CONTROLLER: by_controller})

    def serve(self, owners: Informer) -> None:
        """`owners` is where those are looked up that may adopt an orphan."""
        self._owner_cache = owners

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """A revision that appears with an owner concerns nobody: the owner made it, or whoever did has his
        reasons."""
        for revision in (old, new) if old is not None else ():
            if revision is not None and (key := owner_key(revision, self._owners.kind)):
                yield key
        if new is not None and controller_of(new) is None and not deleting(new):
            yield from self._adopters(new)

    def _adopters(self, revision: Obj) -> Iterable[str]:
        labels = revision["metadata"].get("labels")
        owners = self._owner_cache.list(namespace_of(revision)) if self._owner_cache and labels else ()
        for owner in owners:
            selector = from_label_selector(owner["spec"].get("selector"))
            if not selector.everything and selector.matches(labels):
                yield key_of(owner)

    async def sync(self, owner: Obj) -> Known:
        """The owner's revisions, its present template's among them: made if there is none, the newest if it
        is an older one."""
        selector = from_label_selector(owner["spec"].get("selector"))
        candidates = [*controlled(self.cache, owner), *orphans(self.cache, namespace_of(owner))]
        claimed = await self._claimer.claim(owner, selector, candidates)
        choice = revisions.choose(owner, claimed)
        collisions = (owner.get("status") or {}).get("collisionCount", 0)
        if choice.current is None:
            current, collisions = await self._create(owner, choice.number, collisions)
        else:
            current = await self._renumber(choice.current, choice.number)
        return Known(current, choice.twins, choice.olds, collisions)

    async def _create(self, owner: Obj, number: int, collisions: int) -> tuple[Obj, int]:
        """Under the first name that no other template has."""
        while True:
            made = revisions.build(owner, number, collisions, self._hash_label)
            try:
                return await self._client.create(CONTROLLER_REVISIONS, made), collisions
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
            found = await self._client.get(CONTROLLER_REVISIONS, name_of(made), namespace_of(made))
            controller = controller_of(found)
            ours = controller is not None and controller["uid"] == owner["metadata"]["uid"]
            if ours and same_template(revisions.template_of(found), owner["spec"]["template"]):
                return await self._renumber(found, number), collisions
            collisions += 1

    async def _renumber(self, revision: Obj, number: int) -> Obj:
        labels = revision["metadata"].get("labels") or {}
        if revisions.number_of(revision) == number and self._hash_label in labels:
            return revision
        label = labels.get(self._hash_label, name_of(revision))
        meta = {**revision["metadata"], "labels": {**labels, self._hash_label: label}}
        return await self._client.update(
            CONTROLLER_REVISIONS, {**revision, "metadata": meta, "revision": number}
        )

    async def trim(self, owner: Obj, olds: Sequence[Obj], live: Collection[str]) -> None:
        """Removes old revisions beyond revisionHistoryLimit that none of `live` (by name) is."""
        limit = owner["spec"].get("revisionHistoryLimit", 10)
        await self.remove(revisions.surplus(olds, live, limit))

    async def remove(self, surplus: Iterable[Obj]) -> None:
        for revision in surplus:
            meta = revision["metadata"]
            try:
                await self._client.delete(
                    CONTROLLER_REVISIONS, meta["name"], meta["namespace"], uid=meta["uid"]
                )
            except StatusError as error:
                if error.code not in (404, 409):
                    raise
