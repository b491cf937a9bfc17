"""What an expression may cost at most, before it has met any value.

`estimate(source, names, shapes)` is the cost of one expression; `too_costly(schema, path)` judges all rules
of a version's schema (rule and messageExpression of each x-kubernetes-validations at each level, times how
often the level may occur) and gives the causes to refuse its definition with. Both are pure.

Source: docs, "Resource use of validation rules": 10,000,000 for each expression, 100,000,000 for a schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from podium.api.cel import patience
from podium.api.cel.amounts import UNLIMITED
from podium.api.cel.costing import Estimator
from podium.api.cel.sizes import Shape, cardinality, shape
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

# What an estimate is worth in steps of an evaluation.
ESTIMATING = 1_000
EXPRESSION_LIMIT = 10_000_000
SCHEMA_LIMIT = 100_000_000
RULES = "x-kubernetes-validations"
_ADVICE = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and "
    "strings are declared)"
)
_MOST_EXPENSIVE = 4


def estimate(source: str, shapes: Mapping[str, Shape]) -> int:
    """The most that the expression can cost, at most 2**64 - 1. `shapes` are those of its variables, as
    `sizes.shape(schema)` makes them; one that is not there can be anything. Raises CompileError."""
    from podium.api.cel.programs import parse

    patience.spent(ESTIMATING)
    return Estimator(shapes).cost(parse(source))


def too_costly(schema: Obj, path: str, *, judge_each: bool = True) -> list[Cause]:
    """What is wrong with the cost of the rules in a schema, which is at `path` ("....openAPIV3Schema").
    Without `judge_each` only the sum is judged: a schema that was accepted once stays."""
    found: list[Cause] = []
    total = 0
    expensive: list[tuple[int, str]] = []
    for cost in _costs(schema, path):
        if judge_each and cost.amount > EXPRESSION_LIMIT:
            detail = _exceeds(f"estimated {cost.what} cost", cost.amount, EXPRESSION_LIMIT)
            found.append(causes.forbidden(cost.path, detail))
        total = min(total + cost.amount, UNLIMITED)
        if cost.amount >= SCHEMA_LIMIT // 100:
            expensive.append((cost.amount, cost.path))
    if total > SCHEMA_LIMIT:
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        expensive.sort(key=lambda each: -each[0])
        found += [causes.forbidden(where, detail) for _, where in expensive[:_MOST_EXPENSIVE]]
        what = f"{RULES} estimated rule cost total for entire OpenAPIv3 schema"
        found.append(causes.forbidden(path, _exceeds(what, total, SCHEMA_LIMIT)))
    return found


class _Cost(NamedTuple):
    path: str
    what: str
    amount: int


def _costs(schema: Obj, path: str) -> Iterator[_Cost]:
    yield from _level(schema, path, 1, root=True)


def _level(schema: Obj, path: str, times: int | None, *, root: bool = False) -> Iterator[_Cost]:
    """`times` is how often the level may occur in an object; None where nothing bounds it."""
    for name, below in (schema.get("properties") or {}).items():
        yield from _level(below, f"{path}.properties[{name}]", times)
    inner = _times(times, schema)
    more, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(more, dict):
        yield from _level(more, f"{path}.additionalProperties", inner)
    if isinstance(items, dict):
        yield from _level(items, f"{path}.items", inner)
    if not schema.get(RULES):
        return
    own = shape(schema, root or bool(schema.get("x-kubernetes-embedded-resource")))
    if own is None:
        return
    often = cardinality(own.least) if times is None else times
    for index, rule in enumerate(schema[RULES]):
        yield from _rule(rule, f"{path}.{RULES}[{index}]", own, often)


def _rule(rule: Obj, path: str, own: Shape, often: int) -> Iterator[_Cost]:
    from podium.api.cel.errors import CompileError

    shapes = {"self": own, "oldSelf": own}
    for key, what, times in (("rule", "rule", often), ("messageExpression", "messageExpression", 1)):
        if not (source := rule.get(key) or "").strip():
            continue
        try:
            amount = estimate(source, shapes)
        except CompileError:
            return
        yield _Cost(f"{path}.{key}", what, min(amount * times, UNLIMITED))


def _times(times: int | None, schema: Obj) -> int | None:
    if isinstance(schema.get("additionalProperties"), dict):
        most: Any = schema.get("maxProperties")
    elif schema.get("type") == "array":
        most = schema.get("maxItems")
    else:
        most = 1
    return None if times is None or most is None else min(times * max(most, 0), UNLIMITED)


def _exceeds(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    if factor > 100:
        text = "more than 100x"
    elif factor < 1.5:
        text = f"{factor:f}x"
    else:
        text = f"{factor:.1f}x"
    return f"{what} exceeds budget by factor of {text} {_ADVICE}"


__all__ = ["EXPRESSION_LIMIT", "SCHEMA_LIMIT", "estimate", "shape", "too_costly"]
