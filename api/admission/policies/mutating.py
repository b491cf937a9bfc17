"""What a MutatingAdmissionPolicy makes of an object."""

from __future__ import annotations

from typing import Any

from podium.api.admission.policies.evaluation import Evaluation
from podium.api.apply.shapes import LEAF, Shape, Shapes, check_unique
from podium.api.apply.values import merge
from podium.api.cel import EvaluationError, plain
from podium.api.kinds import Kind
from podium.api.schema import patches
from podium.api.types import Obj
from podium.api.types.errors import StatusError

SHAPES = Shapes()


def mutated(mutation: Obj, evaluation: Evaluation, obj: Obj, kind: Kind) -> Obj:
    """The object after one mutation; a new one. Raises CompileError, EvaluationError."""
    if mutation["patchType"] == "JSONPatch":
        expression = (mutation.get("jsonPatch") or {}).get("expression") or ""
        return _patched(obj, plain(evaluation.value(expression, ("list",), structs=True)))
    expression = (mutation.get("applyConfiguration") or {}).get("expression") or ""
    return _applied(obj, plain(evaluation.value(expression, ("map",), structs=True)), kind)


def _patched(obj: Obj, operations: Any) -> Obj:
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise EvaluationError("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    try:
        return patches.json_patch(obj, operations)
    except StatusError as error:
        raise EvaluationError(f"JSON Patch: {error.message}") from None


def _applied(obj: Obj, config: Any, kind: Kind) -> Obj:
    """Merged as server-side apply merges, by somebody who owns nothing and forces everything."""
    if not isinstance(config, dict):
        raise EvaluationError("unsupported return type from ApplyConfiguration expression")
    shape = SHAPES.of(kind.schema.type)
    if atomics := sorted(_atomics(shape, config, "")):
        why = f"may not mutate atomic arrays, maps or structs: {', '.join(atomics)}"
        raise EvaluationError(f"error applying patch: invalid ApplyConfiguration: {why}")
    try:
        check_unique(shape, config)
        return merge(shape, obj, config)  # type: ignore[no-any-return]
    except ValueError as error:
        raise EvaluationError(f"error applying patch: {error}") from None


def _atomics(shape: Shape | None, value: Any, path: str) -> list[str]:
    """What would be replaced as a whole by the little that the expression says of it."""
    if not isinstance(value, dict | list):
        return []
    if shape is None or shape is LEAF or (shape.fields is None and shape.item is None):
        return [path]
    found: list[str] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += _atomics(shape.item, item, f"{path}[{index}]") if isinstance(item, dict | list) else []
        return found
    for key, below in value.items():
        if shape.fields is None or key in shape.fields:
            found += _atomics((shape.fields or {}).get(key, shape.item), below, f"{path}.{key}")
    return found
