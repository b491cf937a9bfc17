"""Conditions of a status that, once there, never go again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON = re.compile(REASON)
_REASON_TEXT = (
    "a condition reason must start with alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
)
_REASON_EXAMPLES = ("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB")
LONGEST_REASON, LONGEST_MESSAGE = 1024, 32 * 1024


def check_conditions(listed: Sequence[Obj], path: str) -> list[Cause]:
    """The faults of a list of metav1.Conditions."""
    found: list[Cause] = []
    seen: set[str] = set()
    for index, entry in enumerate(listed):
        where, kind = f"{path}[{index}]", entry.get("type", "")
        if kind in seen:
            found.append(causes.duplicate(f"{where}.type", kind))
        seen.add(kind)
        found += _condition(entry, kind, where)
    return found


def _condition(entry: Obj, kind: str, path: str) -> list[Cause]:
    status, reason = entry.get("status", ""), entry.get("reason", "")
    found = values.named(kind, f"{path}.type", names.qualified)
    if status not in ("False", "True", "Unknown"):
        found.append(causes.not_supported(f"{path}.status", status, ("False", "True", "Unknown")))
    if (generation := entry.get("observedGeneration") or 0) < 0:
        detail = "must be greater than or equal to zero"
        found.append(causes.invalid(f"{path}.observedGeneration", generation, detail))
    if not entry.get("lastTransitionTime"):
        found.append(causes.required(f"{path}.lastTransitionTime"))
    if not reason:
        found.append(causes.required(f"{path}.reason"))
    elif not _REASON.fullmatch(reason):
        detail = names.form_error(_REASON_TEXT, REASON, *_REASON_EXAMPLES)
        found.append(causes.invalid(f"{path}.reason", reason, detail))
    for key, limit in (("reason", LONGEST_REASON), ("message", LONGEST_MESSAGE)):
        if len(entry.get(key) or "") > limit:
            found.append(causes.too_long(f"{path}.{key}", limit))
    return found


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
