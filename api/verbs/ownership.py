"""The owners of fields, kept up to date by all writes that are no apply.

They are recorded from an object's creation on. Of what is made by the thousand, that is done only when the
creator says who he is; otherwise from the first apply on, when all there was before goes to the manager
`before-first-apply`: an object that nobody applies to then costs nothing.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from podium.api.apply import fields as sets
from podium.api.apply import owners as owning
from podium.api.apply.fields import Fields
from podium.api.apply.owners import View, Views, Write
from podium.api.apply.shapes import Shapes, Undetermined
from podium.api.ask import Ask
from podium.api.types import Obj
from podium.api.types.resources import ENDPOINT_SLICES, EVENTS, EVENTS_V1, LEASES, PODS

SHAPES = Shapes()
BUSY = frozenset({ENDPOINT_SLICES, EVENTS, EVENTS_V1, LEASES, PODS})
_RESET: list[Obj] = [{}]
_STATUS, _SPEC = sets.tree(("f:status",)), sets.tree(("f:spec",))


def ignored(ask: Ask) -> Fields:
    """What the request cannot set."""
    if not ask.kind.strategy.has_status or ask.subresource not in ("", "status"):
        return {}
    return _SPEC if ask.subresource == "status" else _STATUS


def write_of(ask: Ask, operation: str, now: datetime) -> Write:
    version = ask.kind.resource.api_version
    return owning.writer(ask.manager, operation, version, ask.subresource, now, ignored(ask))


def elsewhere(ask: Ask, *objs: Obj) -> bool:
    """Whether somebody owns fields in a version that has to be asked for, which takes a thread."""
    return ask.kind.translation is not None and any(
        entry.get("apiVersion") != ask.kind.resource.api_version
        for obj in objs
        for entry in obj["metadata"].get("managedFields") or ()
        if isinstance(entry, dict)
    )


def views_of(ask: Ask) -> Views | None:
    """The versions that fields may be owned in; None for kinds of which all versions are alike. To be called
    on the event loop, which the views wait for: they are for a thread, unless `elsewhere` is false."""
    kind, resource = ask.kind, ask.kind.resource
    if not kind.versions:
        return None
    loop = asyncio.get_running_loop()

    def shown(version: str, obj: Obj) -> Obj:
        group, _, own = str(obj.get("apiVersion", resource.api_version)).rpartition("/")
        if own == version or kind.translation is None:
            return obj
        whole = {"apiVersion": f"{group}/{own}", "kind": resource.kind, **obj}
        return asyncio.run_coroutine_threadsafe(kind.translation.into(whole, version), loop).result()

    def view(api_version: str) -> View | None:
        group, _, version = api_version.rpartition("/")
        type_ = kind.versions.get(version) if group == resource.group else None
        return None if type_ is None else View(SHAPES.of(type_), partial(shown, version))

    return view


def claim(ask: Ask, obj: Obj, now: datetime) -> None:
    """Records who made `obj`, which is new, as the owner of all that he can set of it."""
    if ask.kind.conversion or (ask.kind.resource in BUSY and not ask.named):
        return
    empty: Obj = {part: {} for part in ("metadata", "spec", "status") if part in obj}
    shape = SHAPES.of(ask.kind.schema.type)
    try:
        owners = owning.update(shape, empty, obj, {}, write_of(ask, owning.UPDATE, now))
    except Undetermined:
        return
    if owners:
        obj["metadata"]["managedFields"] = owning.encode(owners)


def bare(obj: Obj) -> Obj:
    """The object without its owners."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": meta}


def track(ask: Ask, new: Obj, old: Obj, now: datetime, views: Views | None = None) -> None:
    """Records in `new` whose what the write changed is; nothing while the object has no owners. A client may
    write the list of owners itself, and drop it with a list of one empty entry."""
    meta = new["metadata"]
    given, present = meta.pop("managedFields", None), old["metadata"].get("managedFields")
    if given == _RESET or not (given or present):
        return
    if ask.kind.conversion:
        # The owners are those of fields in the version that is stored.
        if present:
            meta["managedFields"] = present
        return
    try:
        owners = owning.decode(given or present)
        if given and given != present:
            owning.check(owners)
    except ValueError:
        owners = owning.decode(present or ())
    shape = SHAPES.of(ask.kind.schema.type)
    try:
        owners = owning.update(shape, bare(old), new, owners, write_of(ask, owning.UPDATE, now), views)
    except Undetermined:
        # A list whose items cannot be told apart: whose they are now, nobody can say.
        if present:
            meta["managedFields"] = present
        return
    if owners:
        meta["managedFields"] = owning.encode(owners)
