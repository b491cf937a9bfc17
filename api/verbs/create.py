"""POST to a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from podium.api.ask import Ask, Made, Outcome
from podium.api.core import Core, presented
from podium.api.store.base import Entry, Exists
from podium.api.types import Obj
from podium.api.types.errors import Cause, already_exists, invalid
from podium.api.verbs import body
from podium.api.verbs.metadata import drop_version, generate_name, is_generated, metadata_of, stamp_new
from podium.api.verbs.ownership import claim
from podium.api.verbs.reserved import written

# How often another name is made up when one is taken (upstream's number).
GENERATIONS = 8


async def create(core: Core, ask: Ask, obj: Obj, duplicates: Sequence[str] = ()) -> Outcome:
    """Creates `obj`, which is taken over. Raises 400, 403, 404 (no such namespace), 409, 422."""
    if ask.large:
        await asyncio.to_thread(body.take, ask, obj, duplicates)
    else:
        body.take(ask, obj, duplicates)
    if ask.kind.conversion:
        obj = ask.kind.conversion.to_storage(obj)
    return await presented(ask.kind, await insert(core, ask, obj))


async def insert(core: Core, ask: Ask, obj: Obj, owners: Sequence[Obj] = ()) -> Outcome:
    """Creates an object that fits its schema already, with these owners of its fields."""
    now = core.clock()
    stamp_new(ask, obj, now)
    if owners:
        obj["metadata"]["managedFields"] = [*owners]
    strategy = ask.kind.strategy
    if ask.large:
        await asyncio.to_thread(_complete, ask, obj, now, not owners)
    else:
        _complete(ask, obj, now, not owners)
    await core.mutate(ask, "CREATE", obj, None)
    meta = metadata_of(obj)
    generated = is_generated(meta)
    if generated:
        generate_name(meta)
    strategy.prepare_create(obj)
    causes = await judged(ask, partial(strategy.validate_create, obj))
    if causes:
        raise invalid(ask.kind.resource.kind, meta.get("name") or "", causes, ask.kind.resource.group)
    await core.validate(ask, "CREATE", obj, None)
    drop_version(obj)
    ask.warnings += strategy.warnings(obj)
    return await _store(core, ask, obj, generated)


def _complete(ask: Ask, obj: Obj, now: datetime, alone: bool) -> None:
    """`alone`: nobody has said yet who owns its fields."""
    ask.kind.strategy.default(obj)
    if alone:
        claim(ask, obj, now)


async def judged(ask: Ask, judge: Callable[[], list[Cause]]) -> list[Cause]:
    """What `judge` finds. It may be called twice, and in a thread."""
    if ask.large:
        return await asyncio.to_thread(judge)
    if not ask.kind.strategy.lengthy:
        return judge()
    from podium.api.cel.patience import patiently

    return await patiently(judge)


async def _store(core: Core, ask: Ask, obj: Obj, generated: bool) -> Outcome:
    meta = metadata_of(obj)
    for attempts_left in reversed(range(GENERATIONS if generated else 1)):
        try:
            return await _insert(core, ask, obj)
        except Exists:
            if not attempts_left:
                break
            generate_name(meta)
    resource = ask.kind.resource
    raise already_exists(resource.plural, meta["name"], resource.group)


async def _insert(core: Core, ask: Ask, obj: Obj) -> Entry | Made:
    key = ask.kind.key(ask.namespace, obj["metadata"]["name"])
    if taken := core.store.latest(key):
        raise Exists(taken)
    if ask.kind.translation is not None:
        obj = await ask.kind.translation.write(obj)
    claimed = ask.kind.strategy.reserve(obj, None, ask.dry_run)
    return Made(obj) if ask.dry_run else await written(claimed, core.store.create(key, obj))
