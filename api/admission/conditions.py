"""matchConditions: CEL that says which requests a webhook or a policy wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.admission.answering import Answers
from podium.api.admission.request import AdmissionRequest
from podium.api.admission.reviewing import described
from podium.api.cel import CONDITIONS_BUDGET, Budget, CompileError, EvaluationError, compile_expression
from podium.api.types import Obj
from podium.api.types.resources import Resource

NAMES = ("object", "oldObject", "request", "authorizer")


class ConditionError(Exception):
    """No condition said no, and one has no value."""


async def matches_all(
    conditions: list[Obj],
    request: AdmissionRequest,
    as_: Resource,
    objects: tuple[Obj | None, Obj | None],
    answers: Answers,
) -> bool:
    """`objects` are the new and the old one. Raises ConditionError."""
    values = {
        "object": objects[0],
        "oldObject": objects[1],
        "request": described(request, as_),
        "authorizer": answers.authorizer(request, as_),
    }
    return await answers.settled(lambda: holds(conditions, NAMES, values))


def holds(conditions: list[Obj], names: tuple[str, ...], values: Mapping[str, Any]) -> bool:
    """Raises ConditionError."""
    errors = []
    budget = Budget(CONDITIONS_BUDGET)
    for condition in conditions:
        try:
            program = compile_expression(condition["expression"], names, ("bool",))
            if program.evaluate(values, budget=budget) is not True:
                return False
        except (CompileError, EvaluationError) as error:
            errors.append(f"expression '{condition['expression']}' resulted in error: {error}")
    if errors:
        raise ConditionError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
    return True
