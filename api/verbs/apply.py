"""PATCH with a configuration that is to be applied, in the object's place or as a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from podium.api.apply import fields as sets
from podium.api.apply import owners as owning
from podium.api.apply.fields import Fields
from podium.api.apply.owners import Conflicts, Owners, Views, Write
from podium.api.apply.shapes import Undeclared, Undetermined, path_of
from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core, missing, presented
from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request
from podium.api.verbs import body
from podium.api.verbs.create import insert
from podium.api.verbs.metadata import check_name, metadata_of
from podium.api.verbs.ownership import SHAPES, bare, ignored, views_of, write_of
from podium.api.verbs.patch import APPLY_PATCH
from podium.api.verbs.scale import rule_of as scale_rule
from podium.api.verbs.update import Result, Rule, change

MEDIA_TYPE = APPLY_PATCH
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SCALE_VERSION = "autoscaling/v1"
_KUBECTL = "kubectl"


async def apply(
    core: Core,
    ask: Ask,
    rule: Rule,
    config: Obj,
    duplicates: Sequence[str] = (),
    *,
    force: bool,
    creates: bool = True,
) -> Result:
    """Where there is none it `creates` an object. Raises 400, 403, 404, 409 (a conflict's causes name the
    fields and their owners), 422."""
    taken = partial(_taken, ask, config, duplicates)
    config = await asyncio.to_thread(taken) if ask.large else taken()
    for _ in range(2):
        if core.store.latest(ask.kind.key(ask.namespace, ask.name)) is not None:
            outcome = await change(core, ask, rule, _applier(core, ask, config, force), applies=True)
            return Result(await presented(ask.kind, outcome))
        if ask.subresource or not creates:
            raise missing(ask)
        try:
            return Result(await presented(ask.kind, await _create(core, ask, config)), created=True)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
    raise missing(ask)


async def apply_scale(core: Core, ask: Ask, scale: Obj, *, force: bool) -> Outcome:
    """The Scale that stands for a workload's replicas, which its manager owns through it. Raises 400, 404,
    409, 422."""
    if not isinstance(scale, dict) or scale.get("apiVersion") != SCALE_VERSION:
        raise bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{scale.get('apiVersion', '') if isinstance(scale, dict) else ''}, expected: {SCALE_VERSION}"
        )
    strategy, resource = ask.kind.strategy, ask.kind.resource
    config: Obj = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": {}}
    spec = scale.get("spec")
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    if replicas is not None:
        strategy.set_scale(config, scale)
    result = await apply(core, ask, scale_rule(strategy), config, force=force)
    return Made(strategy.scale_of(result.outcome.obj))


def _taken(ask: Ask, config: Any, duplicates: Sequence[str]) -> Obj:
    """The configuration, without what the request cannot set."""
    if not isinstance(config, dict):
        raise bad_request("the patch is no object")
    version = config.get("apiVersion") or ""
    if version != ask.kind.resource.api_version:
        raise bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{version}, expected: {ask.kind.resource.api_version}"
        )
    meta = config.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    body.check_kind(ask.kind, config)
    unknown, warnings = ask.kind.schema.decode_applied(config, ask.validation, duplicates)
    if unknown:
        shape = SHAPES.of(ask.kind.schema.type)
        try:
            undeclared: ValueError = Undeclared([path_of(shape, config, path) for path in unknown])
        except Undetermined as error:
            undeclared = error
        raise _untyped(ask, undeclared)
    ask.warnings += warnings
    meta = metadata_of(config)
    meta.setdefault("name", ask.name)
    check_name(ask, config)
    return {name: value for name, value in config.items() if f"f:{name}" not in ignored(ask)}


def _applier(core: Core, ask: Ask, config: Obj, force: bool) -> Any:
    shape, write = SHAPES.of(ask.kind.schema.type), write_of(ask, owning.APPLY, core.clock())

    conversion, views = ask.kind.conversion, views_of(ask)

    def make(stored: Obj) -> Obj:
        old = conversion.from_storage(stored) if conversion else stored
        live = bare(old)
        try:
            present = old["metadata"].get("managedFields")
            owners = owning.decode(present) if present else owning.first(shape, live, write)
            new, owners = _apply(ask, live, config, owners, write, force, views)
        except Undetermined as error:
            raise _untyped(ask, error) from None
        new = copied(new)
        _keep_last_applied(ask, new, live, config)
        if owners:
            new["metadata"]["managedFields"] = owning.encode(owners)
        return conversion.to_storage(new) if conversion else new

    return make


def _apply(
    ask: Ask, live: Obj, config: Obj, owners: Owners, write: Write, force: bool, views: Views | None
) -> tuple[Obj, Owners]:
    """Raises 409, Undetermined."""
    shape = SHAPES.of(ask.kind.schema.type)

    def complete(obj: Obj) -> Obj:
        own, conversion = copied(obj), ask.kind.conversion
        if conversion is None:
            ask.kind.strategy.default(own)
            return own
        kept = conversion.to_storage(own)
        ask.kind.strategy.default(kept)
        return conversion.from_storage(kept)

    try:
        return owning.apply(shape, live, config, owners, write, force=force, complete=complete, views=views)
    except Conflicts as conflicts:
        permitted = _permitted(ask, live) if write.manager.name == _KUBECTL else {}
        left = [
            (manager, path)
            for manager, path in conflicts.found
            if not sets.intersection(sets.tree(path), permitted)
        ]
        if left:
            raise _conflict(Conflicts(left)) from None
    return owning.apply(shape, live, config, owners, write, force=True, complete=complete, views=views)


def _permitted(ask: Ask, live: Obj) -> Fields:
    """What kubectl set by applying on its own side, and may therefore take over."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = orjson.loads(text) if text else None
        if not isinstance(last, dict) or last.get("apiVersion") != ask.kind.resource.api_version:
            return {}
        ask.kind.schema.fit(last)
        return owning.allowed(SHAPES.of(ask.kind.schema.type), live, last)
    except ValueError:
        return {}


def _keep_last_applied(ask: Ask, new: Obj, live: Obj, config: Obj) -> None:
    """So that a kubectl which applies on its own side can go on from here."""
    if ask.manager == _KUBECTL and LAST_APPLIED in (live["metadata"].get("annotations") or {}):
        text = orjson.dumps(config).decode() + "\n"
        new["metadata"]["annotations"] = {**(new["metadata"].get("annotations") or {}), LAST_APPLIED: text}


def _conflict(conflicts: Conflicts) -> StatusError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager}",
            "field": sets.shown(path),
        }
        for manager, path in conflicts.found
    ]
    return StatusError(409, "Conflict", conflicts.message(), {"causes": causes})


def _untyped(ask: Ask, error: Exception) -> StatusError:
    resource = ask.kind.resource
    name = f"{ask.namespace}/{ask.name}" if ask.namespace else f"/{ask.name}"
    return bad_request(
        f"failed to create typed patch object ({name}; {resource.api_version}, Kind={resource.kind}): {error}"
    )


async def _create(core: Core, ask: Ask, config: Obj) -> Any:
    made = partial(_made, ask, config, core.clock())
    new, owners = await asyncio.to_thread(made) if ask.large else made()
    return await insert(core, ask, new, owners)


def _made(ask: Ask, config: Obj, now: datetime) -> tuple[Obj, list[Obj]]:
    """The new object, and who owns its fields."""
    write = write_of(ask, owning.APPLY, now)
    shape = SHAPES.of(ask.kind.schema.type)
    empty: Obj = {"metadata": {}}
    try:
        _, owners = owning.apply(shape, empty, config, {}, write, force=True)
    except Undetermined as error:
        raise _untyped(ask, error) from None
    new = copied(config)
    if ask.kind.conversion:
        new = ask.kind.conversion.to_storage(new)
    return new, owning.encode(owners)
