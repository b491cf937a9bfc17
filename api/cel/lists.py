"""Functions on lists and sets.

Source: docs, "Kubernetes list library"; CEL's extended lists and sets libraries.
"""

from __future__ import annotations

import itertools
from functools import cmp_to_key, reduce
from typing import Any

from podium.api.cel.errors import EvaluationError
from podium.api.cel.operators import add, contained, equal, order

List = list[Any]
_KEY = cmp_to_key(order)


def _extreme(items: List, name: str, sign: int) -> Any:
    if not items:
        raise EvaluationError(f"{name} called on empty list")
    return reduce(lambda one, other: other if order(other, one) * sign > 0 else one, items)


def _sum(items: List) -> Any:
    return reduce(add, items) if items else 0


def _sorted(items: List) -> bool:
    return all(order(one, other) <= 0 for one, other in itertools.pairwise(items))


def _index_of(items: List, wanted: Any) -> int:
    return next((place for place, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: List, wanted: Any) -> int:
    return next((place for place in range(len(items) - 1, -1, -1) if equal(items[place], wanted)), -1)


def _contains(items: List, others: List) -> bool:
    return all(contained(other, items) for other in others)


def _equivalent(items: List, others: List) -> bool:
    return _contains(items, others) and _contains(others, items)


def _intersects(items: List, others: List) -> bool:
    return any(contained(other, items) for other in others)


def _distinct(items: List) -> List:
    found: List = []
    for item in items:
        if not contained(item, found):
            found.append(item)
    return found


def _slice(items: List, start: int, end: int) -> List:
    if not 0 <= start <= end <= len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list length is {len(items)}")
    return items[start:end]


def _flatten(items: List, depth: int = 1) -> List:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    for _ in range(min(depth, 100)):
        items = [inner for item in items for inner in (item if isinstance(item, list) else [item])]
    return items


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("isSorted", True, ("list",), "bool", _sorted),
    ("sum", True, ("list",), "dyn", _sum),
    ("min", True, ("list",), "dyn", lambda items: _extreme(items, "min", -1)),
    ("max", True, ("list",), "dyn", lambda items: _extreme(items, "max", 1)),
    ("indexOf", True, ("list", "dyn"), "int", _index_of),
    ("lastIndexOf", True, ("list", "dyn"), "int", _last_index_of),
    ("distinct", True, ("list",), "list", _distinct),
    ("slice", True, ("list", "int", "int"), "list", _slice),
    ("flatten", True, ("list",), "list", _flatten),
    ("flatten", True, ("list", "int"), "list", _flatten),
    ("sort", True, ("list",), "list", lambda items: sorted(items, key=_KEY)),
    ("reverse", True, ("list",), "list", lambda items: items[::-1]),
    ("lists.range", False, ("int",), "list", lambda count: list(range(count))),
    ("sets.contains", False, ("list", "list"), "bool", _contains),
    ("sets.equivalent", False, ("list", "list"), "bool", _equivalent),
    ("sets.intersects", False, ("list", "list"), "bool", _intersects),
)
