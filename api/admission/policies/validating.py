"""What a ValidatingAdmissionPolicy says to a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.admission.policies.evaluation import Evaluation
from podium.api.cel import CompileError, EvaluationError
from podium.api.types import Obj

# Bytes; a longer message is left for the next best one, a longer annotation is cut.
LONGEST_MESSAGE = 5 * 1024
LONGEST_ANNOTATION = 10 * 1024
CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


class Denial(NamedTuple):
    """`reason` is "" for what could not be decided; `place` is the validation's."""

    message: str
    reason: str = ""
    place: int = 0


@dataclass(slots=True)
class Judgement:
    """`denials` are what the binding's actions act upon, `failures` refuse in any case, `annotations` are for
    the audit log."""

    denials: list[Denial] = field(default_factory=list)
    failures: list[Denial] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


def validate(spec: Obj, evaluation: Evaluation) -> Judgement:
    """Everything the policy has to say about the request."""
    found = Judgement()
    fails = spec.get("failurePolicy") != "Ignore"
    for index, validation in enumerate(spec.get("validations") or ()):
        denial = _denial(validation, evaluation, index)
        if denial is not None and (denial.reason or fails):
            found.denials.append(denial)
    for annotation in spec.get("auditAnnotations") or ():
        _annotate(annotation, evaluation, found, fails)
    return found


def _denial(validation: Obj, evaluation: Evaluation, index: int) -> Denial | None:
    expression = validation["expression"]
    try:
        if evaluation.value(expression, ("bool",)) is True:
            return None
        reason = validation.get("reason") or "Invalid"
        return Denial(_message(validation, evaluation), reason, index)
    except CompileError as error:
        return Denial(f"compilation error: compilation failed: {error}", place=index)
    except EvaluationError as error:
        return Denial(f"expression '{expression}' resulted in error: {error}", place=index)


def _annotate(annotation: Obj, evaluation: Evaluation, found: Judgement, fails: bool) -> None:
    expression = annotation["valueExpression"]
    try:
        value = evaluation.value(expression, ("string", "null", "null_type"))
    except (CompileError, EvaluationError) as error:
        if fails:
            found.failures.append(Denial(f"expression '{expression}' resulted in error: {error}"))
        return
    if isinstance(value, str):
        if text := value.strip():
            found.annotations[annotation["key"]] = text.encode()[:LONGEST_ANNOTATION].decode(errors="ignore")
    elif value is not None:
        why = f"valueExpression '{expression}' resulted in unsupported return type"
        found.failures.append(Denial(f"{why}. Return type must be either string or null."))


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
