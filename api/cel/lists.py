"""Functions on lists and sets."""

from __future__ import annotations

import itertools
from typing import Any

List = list[Any]


def _min(items: List) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def _max(items: List) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def _sorted(items: List) -> bool:
    return all(one <= other for one, other in itertools.pairwise(items))


def _contains(items: List, others: List) -> bool:
    return all(other in items for other in others)


def _equivalent(items: List, others: List) -> bool:
    return _contains(items, others) and _contains(others, items)


def _intersects(items: List, others: List) -> bool:
    return any(other in items for other in others)


def _distinct(items: List) -> List:
    found: List = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _slice(items: List, start: int, end: int) -> List:
    if not 0 <= start <= end <= len(items):
        raise ValueError(f"cannot slice({start}, {end}), list length is {len(items)}")
    return items[start:end]


def _flatten(items: List) -> List:
    return [inner for item in items for inner in (item if isinstance(item, list) else [item])]


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("isSorted", True, ("list",), "bool", _sorted),
    ("sum", True, ("list",), "dyn", sum),
    ("min", True, ("list",), "dyn", _min),
    ("max", True, ("list",), "dyn", _max),
    ("distinct", True, ("list",), "list", _distinct),
    ("slice", True, ("list", "int", "int"), "list", _slice),
    ("flatten", True, ("list",), "list", _flatten),
    ("sort", True, ("list",), "list", sorted),
    ("sets.contains", False, ("list", "list"), "bool", _contains),
    ("sets.equivalent", False, ("list", "list"), "bool", _equivalent),
    ("sets.intersects", False, ("list", "list"), "bool", _intersects),
)
