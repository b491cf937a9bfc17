"""Who owns which fields: `metadata.managedFields`, read, written, and changed by updates and applies.

Fields that an update changes belong to its manager alone; fields that an apply sets belong to all who apply
the same value. Source: API reference, meta/v1 ManagedFieldsEntry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from podium.api.apply import fields as sets
from podium.api.apply.fields import Fields, Path
from podium.api.apply.shapes import Shape, check_unique, fields_of
from podium.api.apply.values import Changes, compare, merge, remove, with_structs
from podium.api.types import Obj
from podium.api.types.meta import timestamp

APPLY, UPDATE = "Apply", "Update"
BEFORE = "before-first-apply"
"""The manager of everything an object had before somebody applied to it."""
ANCIENT = "ancient-changes"
MOST_UPDATERS = 10
_NAMES = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation")
# What has no owner: it says which object it is, or is the server's.
_NOBODYS = sets.tree(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(("f:metadata", f"f:{name}") for name in (*_NAMES, "managedFields", "resourceVersion")),
)


class Manager(NamedTuple):
    """One entry's identity. An updater is another one for each version it writes, an applier is not."""

    name: str
    operation: str
    subresource: str = ""
    version: str = ""

    def __str__(self) -> str:
        text = json.dumps(self.name)
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == UPDATE else text


class Share(NamedTuple):
    """What one manager owns, as of the API version and the time of its last change."""

    fields: Fields
    version: str
    time: str


Owners: TypeAlias = dict[Manager, Share]


class Conflicts(Exception):
    """Fields that others own with other values, in order of their owners."""

    def __init__(self, found: Iterable[tuple[Manager, Path]]) -> None:
        self.found = sorted(found)
        super().__init__(self.message())

    def message(self) -> str:
        if len(self.found) == 1:
            manager, path = self.found[0]
            return f"Apply failed with 1 conflict: conflict with {manager}: {sets.shown(path)}"
        lines: list[str] = []
        for manager, path in self.found:
            head = f"conflicts with {manager}:"
            if head not in lines:
                lines.append(head)
            lines.append(f"- {sets.shown(path)}")
        return f"Apply failed with {len(self.found)} conflicts: " + "\n".join(lines)


class Write(NamedTuple):
    """Who writes what when. `ignored` are the roots of fields that the request cannot set: the status, or
    through the status all else."""

    manager: Manager
    version: str
    now: datetime
    ignored: Fields


def writer(
    name: str, operation: str, version: str, subresource: str, now: datetime, ignored: Fields
) -> Write:
    identity = Manager(name, operation, subresource, version if operation == UPDATE else "")
    return Write(identity, version, now, ignored)


def decode(entries: Iterable[Mapping[str, Any]]) -> Owners:
    """Raises ValueError for entries that are none."""
    found: Owners = {}
    for entry in entries:
        operation, version = entry.get("operation"), entry.get("apiVersion", "")
        if operation not in (APPLY, UPDATE) or entry.get("fieldsType") != "FieldsV1":
            raise ValueError(f"unknown operation or form of fields: {entry}")
        own = version if operation == UPDATE else ""
        manager = Manager(entry.get("manager", ""), operation, entry.get("subresource", ""), own)
        found[manager] = Share(dict(entry.get("fieldsV1") or {}), version, entry.get("time", ""))
    return found


def check(owners: Owners) -> None:
    """Of owners that a client has made up. Raises ValueError for fields that are none."""
    for share in owners.values():
        sets.check(share.fields)


def encode(owners: Owners) -> list[Obj]:
    """Appliers first, then by time and name."""
    order = sorted(owners.items(), key=lambda item: (item[0].operation, item[1].time, item[0]))
    entries = []
    for manager, share in order:
        entry: Obj = {"manager": manager.name, "operation": manager.operation, "apiVersion": share.version}
        if share.time:
            entry["time"] = share.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": sets.ordered(share.fields)}
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return entries


class View(NamedTuple):
    """A version of the kind: its shape, and what shows an object of any version in it."""

    shape: Shape
    of: Callable[[Obj], Obj]


# By API version; None for one that there is not any more.
Views = Callable[[str], View | None]


class _Seen:
    """What a write changes, as each of the owners' versions has it."""

    def __init__(self, shape: Shape, live: Obj, new: Obj, write: Write, views: Views | None) -> None:
        self._live, self._new, self._write, self._views = live, new, write, views
        self.own = _visible(compare(shape, live, new), write.ignored)
        self._known: dict[str, Changes | None] = {write.version: self.own}

    def of(self, version: str) -> Changes | None:
        """None where there is no such version: nobody knows what its fields are."""
        if self._views is None:
            return self.own
        if version not in self._known:
            view = self._views(version)
            self._known[version] = view and _visible(
                compare(view.shape, view.of(self._live), view.of(self._new)), self._write.ignored
            )
        return self._known[version]


def _visible(changes: Changes, ignored: Fields) -> Changes:
    return Changes(*(sets.without_trees(part, ignored) for part in changes)) if ignored else changes


def _keep(owners: Owners, seen: _Seen, but: Manager | None = None) -> Owners:
    """What the owners have left: what is changed goes to somebody else, and what is removed is no more."""
    left: Owners = {}
    for manager, share in owners.items():
        if manager != but:
            changes = seen.of(share.version)
            if changes is None:
                continue
            rest = share.fields
            for part in changes:
                rest = sets.difference(rest, part)
            if not rest:
                continue
            share = share._replace(fields=rest)
        left[manager] = share
    return left


def update(
    shape: Shape, live: Obj, new: Obj, owners: Owners, write: Write, views: Views | None = None
) -> Owners:
    """After a write that is no apply: what it changed is its manager's. Raises Undetermined."""
    seen = _Seen(shape, live, new, write, views)
    left = _keep(owners, seen)
    own = sets.difference(sets.union(seen.own.added, seen.own.modified), _NOBODYS)
    if own:
        former = left.get(write.manager)
        whole = sets.union(former.fields, own) if former else own
        left[write.manager] = Share(whole, write.version, timestamp(write.now))
    return _capped(left)


def first(shape: Shape, live: Obj, write: Write) -> Owners:
    """The owners of an object that nobody has applied to."""
    empty: Obj = {part: {} for part in ("metadata", "spec", "status") if part in live}
    before = write.manager._replace(name=BEFORE, operation=UPDATE, version=write.version, subresource="")
    return update(shape, empty, live, {}, write._replace(manager=before, ignored={}))


def _capped(owners: Owners) -> Owners:
    """With the oldest updaters as one, where there are too many."""
    updaters = sorted(
        (manager for manager in owners if manager.operation == UPDATE),
        key=lambda manager: (owners[manager].time, manager),
    )
    surplus = updaters[: len(updaters) - MOST_UPDATERS + 1] if len(updaters) > MOST_UPDATERS else []
    for manager in surplus:
        share = owners.pop(manager)
        bucket = Manager(ANCIENT, UPDATE, "", share.version)
        former = owners.get(bucket)
        owners[bucket] = share._replace(fields=sets.union(former.fields, share.fields)) if former else share
    return owners


def apply(
    shape: Shape,
    live: Obj,
    config: Obj,
    owners: Owners,
    write: Write,
    *,
    force: bool,
    complete: Callable[[Obj], Obj] = lambda obj: obj,
    views: Views | None = None,
) -> tuple[Obj, Owners]:
    """(the object, its owners) after an apply. `complete` fills in defaults: what is owned as a whole must
    not differ by what nobody said. Raises Conflicts, Undetermined."""
    check_unique(shape, config)
    merged = merge(shape, live, config)
    wanted = sets.without_trees(fields_of(shape, config), write.ignored)
    last = owners.get(write.manager)
    share = Share(wanted, write.version, last.time if last else "")
    owners = {**owners, write.manager: share}
    if last is not None and last.fields:
        merged = _prune(shape, merged, last, owners, write.version, views)
    merged = complete(merged)
    seen = _Seen(shape, live, merged, write, views)
    if not force:
        _check(owners, seen, write.manager)
    owners = _keep(owners, seen, write.manager)
    own = sets.difference(wanted, _NOBODYS)
    owners[write.manager] = share._replace(
        fields=own, time=timestamp(write.now) if merged != live or not share.time else share.time
    )
    if not own:
        del owners[write.manager]
    return merged, owners


def _check(owners: Owners, seen: _Seen, applier: Manager) -> None:
    found = [
        (manager, path)
        for manager, share in owners.items()
        if manager != applier and (changes := seen.of(share.version)) is not None
        for path in sets.members(sets.intersection(share.fields, sets.union(changes.added, changes.modified)))
    ]
    if found:
        raise Conflicts(found)


def _prune(shape: Shape, merged: Obj, last: Share, owners: Owners, version: str, views: Views | None) -> Obj:
    """Without what the applier set the last time and sets no more, unless somebody else owns it; each in the
    version that it is known in."""
    here = View(shape, lambda obj: obj)
    view = views(last.version) if views is not None else here
    if view is None:
        return merged
    whole = view.of(merged)
    former = with_structs(view.shape, last.fields)
    pruned: Obj = remove(view.shape, whole, former)
    for owned_in, owned in _by_version(owners, version, views).items():
        seen = views(owned_in) if views is not None else here
        if seen is not None:
            pruned = _with_owned(seen.shape, seen.of(merged), seen.of(pruned), owned)
    # What the applier never set stays, even where nothing it is part of is owned any more.
    present = with_structs(view.shape, fields_of(view.shape, whole))
    left = with_structs(view.shape, fields_of(view.shape, view.of(pruned)))
    lost = sets.intersection(sets.difference(present, left), former)
    result: Obj = remove(view.shape, whole, lost)
    back = views(version) if views is not None else here
    return back.of(result) if back is not None else result


def _by_version(owners: Owners, version: str, views: Views | None) -> dict[str, Fields]:
    """All that is owned, by the version that it is known in; of `version` where all are alike."""
    found: dict[str, Fields] = {}
    for share in owners.values():
        key = version if views is None else share.version
        found[key] = sets.union(found.get(key, {}), share.fields)
    return found


def _with_owned(shape: Shape, merged: Obj, pruned: Obj, owned: Fields) -> Obj:
    """What was pruned, with what of it somebody owns."""
    present = with_structs(shape, fields_of(shape, merged))
    kept = sets.union(with_structs(shape, fields_of(shape, pruned)), with_structs(shape, owned))
    result: Obj = remove(shape, merged, sets.difference(present, kept))
    return result


def allowed(shape: Shape, live: Obj, last_applied: Obj) -> Fields:
    """The fields that a client set by its own kind of apply, and that nobody has changed since."""
    changes = compare(shape, last_applied, live)
    found = fields_of(shape, last_applied)
    for part in changes:
        found = sets.difference(found, part)
    return found
