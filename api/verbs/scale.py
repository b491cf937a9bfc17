"""The scale subresource: an autoscaling/v1 Scale that stands for a workload's number of replicas."""

from __future__ import annotations

from collections.abc import Callable

from podium.api.ask import Ask, Made, Outcome, copied
from podium.api.core import Core, presented
from podium.api.schema import Schema
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause, bad_request, invalid
from podium.api.verbs.metadata import metadata_of
from podium.api.verbs.update import Rule, StandIn, change


async def get(core: Core, ask: Ask) -> Outcome:
    shown = await presented(ask.kind, core.found(ask))
    return Made(ask.kind.strategy.scale_of(shown.obj))


def rule_of(strategy: Strategy) -> Rule:
    stand_in = StandIn(strategy.scale_of, strategy.set_scale)
    return Rule(strategy.prepare_update, strategy.validate_update, stand_in)


async def update(core: Core, ask: Ask, schema: Schema, make: Callable[[Obj], Obj]) -> Outcome:
    """`make` gives the wanted Scale from the present one. Raises 400, 404, 409, 422."""
    strategy = ask.kind.strategy

    def resized(old: Obj) -> Obj:
        present = strategy.scale_of(old)
        scale = make(present)
        ask.warnings[:] = schema.decode(scale, ask.validation)
        _check(ask, scale)
        new = copied(old)
        strategy.set_scale(new, scale)
        # What the Scale names is what the change is based on.
        for field in ("uid", "resourceVersion"):
            new["metadata"][field] = metadata_of(scale).get(field, "")
        return new

    shown = await presented(ask.kind, await change(core, ask, rule_of(strategy), resized))
    return Made(strategy.scale_of(shown.obj))


def _check(ask: Ask, scale: Obj) -> None:
    name = metadata_of(scale).get("name") or ""
    if name != ask.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({ask.name})")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", message, "spec.replicas")
        raise invalid("Scale", ask.name, [cause], "autoscaling")
