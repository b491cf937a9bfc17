"""Conditions of a status that, once there, never go again."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes


def conditions(obj: Obj, kind: str = "") -> list[Obj]:
    """Those of a type, without one all."""
    found = (obj.get("status") or {}).get("conditions") or []
    return [each for each in found if not kind or each.get("type") == kind]


def kept(new: Obj, old: Obj, kinds: Sequence[str]) -> list[Cause]:
    """The faults of an update that takes conditions of these types away."""
    return [
        causes.forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')
        for kind in kinds
        if len(conditions(new, kind)) < len(conditions(old, kind))
    ]
