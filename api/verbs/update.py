"""PUT, and what every change of an existing object goes through: status, scale, patch and the other
subresources as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from podium.api.ask import LARGE, Ask, Made, Outcome, copied
from podium.api.core import Core, missing, presented
from podium.api.store.base import Entry, Missing, Stale
from podium.api.types import Obj
from podium.api.types.errors import Cause, invalid, modified
from podium.api.verbs import body
from podium.api.verbs.create import insert, judged
from podium.api.verbs.lifecycle import ends_with_update
from podium.api.verbs.metadata import carry_over, check_name, check_version, metadata_of
from podium.api.verbs.ownership import elsewhere, track, views_of
from podium.api.verbs.reserved import written

# How often a change that names no version is made again on top of somebody else's.
ATTEMPTS = 5

Change = Callable[[Obj], Obj]


class StandIn(NamedTuple):
    """The object as which a subresource shows another, and in whose place admission sees it: `show` makes
    it, `put` brings what admission made of it into the other."""

    show: Callable[[Obj], Obj]
    put: Callable[[Obj, Obj], None]


class Rule(NamedTuple):
    """Which part of the object a request may change. `prepare` puts back what it may not (in `new`, which
    is its own), `validate` judges the rest. What is `admitted` already is not shown to admission."""

    prepare: Callable[[Obj, Obj], None]
    validate: Callable[[Obj, Obj], list[Cause]]
    stand_in: StandIn | None = None
    admitted: bool = False


class Result(NamedTuple):
    outcome: Outcome
    created: bool = False


async def update(
    core: Core, ask: Ask, rule: Rule, obj: Obj, duplicates: Sequence[str] = (), *, creates: bool = True
) -> Result:
    """Replaces the object by `obj`; where there is none it `creates` one, if the kind allows that. Raises
    400, 403, 404, 409, 422."""
    if ask.large:
        await asyncio.to_thread(body.take, ask, obj, duplicates)
    else:
        body.take(ask, obj, duplicates)
    check_name(ask, obj)
    if ask.kind.conversion:
        obj = ask.kind.conversion.to_storage(obj)
    if core.store.latest(ask.kind.key(ask.namespace, ask.name)) is None:
        if ask.subresource or not (creates and ask.kind.strategy.allow_create_on_update):
            raise missing(ask)
        return Result(await presented(ask.kind, await insert(core, ask, obj)), created=True)
    return Result(await presented(ask.kind, await change(core, ask, rule, lambda old: copied(obj))))


async def change(
    core: Core, ask: Ask, rule: Rule, make: Change, attempts: int = ATTEMPTS, *, applies: bool = False
) -> Outcome:
    """Puts what `make` builds from the current object in its place; again from the start when somebody else
    was faster, unless what was made names a version (then 409). `make` returns an object of its own, when it
    `applies` with the owners of its fields."""
    key = ask.kind.key(ask.namespace, ask.name)
    for _ in range(attempts):
        entry = core.store.latest(key)
        if entry is None:
            raise missing(ask)
        old = entry.obj
        if ask.kind.translation is not None:
            [old] = await ask.kind.translation.read([old])
        ask.large = ask.large or len(entry.value) > LARGE
        aside = ask.large or elsewhere(ask, old)
        new = await asyncio.to_thread(make, old) if aside else make(old)
        check_version(ask, new, old)
        await _prepare(core, ask, rule, new, old)
        if not applies and ("managedFields" in new["metadata"] or "managedFields" in old["metadata"]):
            tracked = partial(track, ask, new, old, core.clock(), views_of(ask))
            if ask.large or elsewhere(ask, old, new):
                await asyncio.to_thread(tracked)
            else:
                tracked()
        try:
            return await _commit(core, ask, entry, new)
        except Stale:
            continue
        except Missing:
            raise missing(ask) from None
    raise modified(ask.kind.resource.plural, ask.name, ask.kind.resource.group)


async def _prepare(core: Core, ask: Ask, rule: Rule, new: Obj, old: Obj) -> None:
    carry_over(ask, new, old)
    if ask.large:
        await asyncio.to_thread(ask.kind.strategy.default, new)
    else:
        ask.kind.strategy.default(new)
    await _mutate(core, ask, rule, new, old)
    rule.prepare(new, old)
    ask.kind.strategy.stamp(new, old, core.clock())
    if causes := await judged(ask, partial(rule.validate, new, old)):
        raise invalid(ask.kind.resource.kind, ask.name, causes, ask.kind.resource.group)
    if rule.stand_in is not None:
        show = rule.stand_in.show
        await core.validate(ask, "UPDATE", show(new), show(old))
    elif not rule.admitted:
        await core.validate(ask, "UPDATE", new, old)
    if not ask.subresource:
        ask.warnings += ask.kind.strategy.warnings(new)


async def _mutate(core: Core, ask: Ask, rule: Rule, new: Obj, old: Obj) -> None:
    if rule.stand_in is not None:
        shown = rule.stand_in.show(new)
        await core.mutate(ask, "UPDATE", shown, rule.stand_in.show(old))
        rule.stand_in.put(new, shown)
    elif not rule.admitted:
        await core.mutate(ask, "UPDATE", new, old)


async def _commit(core: Core, ask: Ask, entry: Entry, new: Obj) -> Outcome:
    """What changes nothing is not written: the version stays, and nobody is woken."""
    metadata_of(new)["resourceVersion"] = str(entry.revision)
    if ask.kind.translation is not None:
        new = await ask.kind.translation.write(new)
    ends = ends_with_update(ask.kind.resource, new, entry.obj)
    if new == entry.obj and not ends and not entry.stale:
        return entry
    claimed = ask.kind.strategy.reserve(None if ends else new, entry.obj, ask.dry_run)
    if ask.dry_run:
        return Made(new)
    write = core.store.delete if ends else core.store.update
    return await written(claimed, write(entry.key, new, entry.revision))
