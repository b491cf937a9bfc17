"""What a ValidatingAdmissionPolicy says to a request."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.admission.policies.evaluation import Evaluation
from podium.api.cel import CompileError, EvaluationError
from podium.api.types import Obj

# Bytes; a longer message is left for the next best one.
LONGEST_MESSAGE = 5 * 1024
CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


class Denial(NamedTuple):
    """`reason` is "" for what could not be decided."""

    message: str
    reason: str = ""


def validate(spec: Obj, evaluation: Evaluation) -> list[Denial]:
    """Everything the policy has against the request."""
    found = []
    fails = spec.get("failurePolicy") != "Ignore"
    for validation in spec.get("validations") or ():
        expression = validation["expression"]
        try:
            if evaluation.value(expression, ("bool",)) is not True:
                found.append(Denial(_message(validation, evaluation), validation.get("reason") or "Invalid"))
        except CompileError as error:
            if fails:
                found.append(Denial(f"compilation error: compilation failed: {error}"))
        except EvaluationError as error:
            if fails:
                found.append(Denial(f"expression '{expression}' resulted in error: {error}"))
    for annotation in spec.get("auditAnnotations") or ():
        found += _annotate(annotation, evaluation) if fails else ()
    return found


def _annotate(annotation: Obj, evaluation: Evaluation) -> list[Denial]:
    """Nobody keeps the annotation; one that has no value still fails the policy."""
    expression = annotation["valueExpression"]
    try:
        evaluation.value(expression, ("string", "null", "null_type"))
    except (CompileError, EvaluationError) as error:
        return [Denial(f"expression '{expression}' resulted in error: {error}")]
    return []


def _message(validation: Obj, evaluation: Evaluation) -> str:
    message = ""
    if expression := validation.get("messageExpression"):
        try:
            made = evaluation.value(expression)
        except (CompileError, EvaluationError):
            made = ""
        if isinstance(made, str) and len(made.encode()) <= LONGEST_MESSAGE and "\n" not in made.strip():
            message = made.strip()
    return (
        message
        or (validation.get("message") or "").strip()
        or f"failed expression: {validation['expression'].strip()}"
    )
