"""matchConditions: CEL that says which requests a webhook or a policy wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.admission.request import AdmissionRequest
from podium.api.admission.reviewing import described
from podium.api.cel import CompileError, EvaluationError, compile_expression
from podium.api.types import Obj
from podium.api.types.resources import Resource

NAMES = ("object", "oldObject", "request")


class ConditionError(Exception):
    """No condition said no, and one has no value."""


def matches_all(
    conditions: list[Obj], request: AdmissionRequest, as_: Resource, obj: Obj | None, old: Obj | None
) -> bool:
    """Raises ConditionError."""
    return holds(conditions, NAMES, {"object": obj, "oldObject": old, "request": described(request, as_)})


def holds(conditions: list[Obj], names: tuple[str, ...], values: Mapping[str, Any]) -> bool:
    """Raises ConditionError."""
    errors = []
    for condition in conditions:
        try:
            if compile_expression(condition["expression"], names, ("bool",)).evaluate(values) is not True:
                return False
        except (CompileError, EvaluationError) as error:
            errors.append(f"expression '{condition['expression']}' resulted in error: {error}")
    if errors:
        raise ConditionError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
    return True
