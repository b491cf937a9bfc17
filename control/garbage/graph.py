"""Who owns whom, by uid, and whom a change concerns. No I/O.

Source: kubernetes.io "Garbage Collection" and "Owners and Dependents".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from podium.control.metadata import Owner, Record

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def awaits_dependents(record: Record) -> bool:
    """Being deleted, and not gone before the dependents that block it are."""
    return record.deleting and FOREGROUND in record.finalizers


def orphans_dependents(record: Record) -> bool:
    """Being deleted, and not gone before its dependents have let go of it."""
    return record.deleting and ORPHAN in record.finalizers


class Graph:
    """The edges between records. The records themselves are the metadata watch's."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._dependents: dict[str, set[str]] = {}

    def dependents(self, uid: str) -> list[Record]:
        found = (self._records.get(dependent) for dependent in self._dependents.get(uid, ()))
        return [record for record in found if record is not None]

    def blocking(self, uid: str) -> list[Record]:
        """The dependents that hold their owner's foreground deletion up."""
        return [
            record
            for record in self.dependents(uid)
            if any(owner.uid == uid and owner.blocks for owner in record.owners)
        ]

    def changed(self, old: Record | None, new: Record | None) -> Iterator[str]:
        """Takes a change in, and names the objects (by uid) to look at because of it."""
        self._rewire(old, new)
        if new is None:
            if old is not None:
                yield from tuple(self._dependents.get(old.uid, ()))
                yield from self._waiting(old.owners)
            return
        if old is not None and old.owners != new.owners:
            yield from self._waiting(old.owners)
        if new.deleting:
            if awaits_dependents(new) or orphans_dependents(new):
                yield new.uid
            if awaits_dependents(new) and (old is None or not awaits_dependents(old)):
                yield from tuple(self._dependents.get(new.uid, ()))
        elif (old is None or old.owners != new.owners) and not self.is_held(new):
            yield new.uid

    def _rewire(self, old: Record | None, new: Record | None) -> None:
        before = {owner.uid for owner in old.owners} if old is not None else set()
        after = {owner.uid for owner in new.owners} if new is not None else set()
        uid = (new or old).uid  # type: ignore[union-attr]
        for owner in before - after:
            members = self._dependents[owner]
            members.discard(uid)
            if not members:
                del self._dependents[owner]
        for owner in after - before:
            self._dependents.setdefault(owner, set()).add(uid)

    def _waiting(self, owners: Iterable[Owner]) -> Iterator[str]:
        """Those of `owners` that wait for their dependents to go."""
        for owner in owners:
            record = self._records.get(owner.uid)
            if record is not None and awaits_dependents(record):
                yield owner.uid

    def is_held(self, record: Record) -> bool:
        """Whether every owner is known to exist just as its reference says, and not to wait for its
        dependents; true of what has no owner."""
        for owner in record.owners:
            found = self._records.get(owner.uid)
            if found is None or not names(owner, record, found) or awaits_dependents(found):
                return False
        return True


def names(owner: Owner, dependent: Record, found: Record) -> bool:
    """Whether the reference `owner` of `dependent` really names `found`: the same kind and name, in the
    dependent's namespace or cluster-scoped."""
    kind = owner.kind == found.resource.kind and owner.name == found.name
    group = owner.api_version.rpartition("/")[0] == found.resource.group
    return kind and group and found.namespace in ("", dependent.namespace)
