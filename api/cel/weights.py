"""What operators and functions cost by the values that they meet. One that is not here costs 1.

Source: docs, "Resource use of validation rules"; the factors are those of `amounts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from podium.api.cel.amounts import CHECK
from podium.api.cel.errors import CostExceeded

# No text may become longer than this, and no list longer than a tenth; a request is much smaller.
LONGEST = 10_000_000
_SMALL = frozenset({int, bool, float, type(None)})
Weight = Callable[..., int]


def length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, tuple, Mapping)) else 1


def bounded(count: int) -> int:
    """The length of what is going to be made. Raises CostExceeded."""
    if count > LONGEST:
        raise CostExceeded
    return count


def traversal(count: int) -> int:
    return -(-count // 10)


def _deep(value: Any) -> int:
    """How many parts a value has."""
    if isinstance(value, str):
        return 1 + len(value) // 10
    if isinstance(value, Mapping):
        return 1 + sum(map(_deep, value.values()))
    if isinstance(value, (list, tuple)):
        return 1 + (len(value) if set(map(type, value)) <= _SMALL else sum(map(_deep, value)))
    return 1


def _equality(one: Any, other: Any) -> int:
    if isinstance(one, str) and isinstance(other, str):
        return 1 + min(len(one), len(other)) // 10
    if isinstance(one, (Mapping, list, tuple)) and len(one) == length(other):
        return 1 + _deep(one) // 2
    return 1


def _addition(one: Any, other: Any) -> int:
    if isinstance(one, (str, bytes)):
        return traversal(bounded(len(one) + length(other)))
    if isinstance(one, (list, tuple)):
        return 1 + bounded(10 * (len(one) + length(other))) // 1000
    return 1


def _membership(item: Any, holder: Any) -> int:
    return 1 if isinstance(holder, Mapping) else max(length(holder), 1)


OPERATORS: dict[str, Callable[[Any, Any], int]] = {
    "_==_": _equality,
    "_!=_": _equality,
    "_+_": _addition,
    "_[_]": lambda one, other: 1,
    "@in": _membership,
}


def _first(factor: int) -> Weight:
    """Tenths of the first operand's length."""
    return lambda *given: traversal(length(given[0]) * factor)


def _pattern(*given: Any) -> int:
    return traversal(length(given[0]) + 1) * max(-(-length(given[1]) // 4), 1)


def _search(*given: Any) -> int:
    return max(traversal(length(given[0])) * traversal(length(given[1])), 1)


def _elements(*given: Any) -> int:
    value = given[0]
    return traversal(len(value)) if isinstance(value, str) else max(_deep(value), 1)


def _pairs(*given: Any) -> int:
    return max(length(given[0]), 1) * max(length(given[-1]), 1)


def _square(*given: Any) -> int:
    return max(length(given[0]), 1) ** 2


def _replacement(*given: Any) -> int:
    text, old, new = given[:3]
    if isinstance(text, str) and isinstance(old, str) and isinstance(new, str):
        times = text.count(old) if old else len(text) + 1
        bounded(len(text) + times * max(len(new) - len(old), 0))
    return traversal(2 * length(text))


def _joined(*given: Any) -> int:
    listed = given[0]
    if not isinstance(listed, (list, tuple)):
        return 1
    between = length(given[1]) if len(given) > 1 else 0
    return traversal(2 * bounded(sum(map(length, listed)) + between * len(listed)))


def _formatted(*given: Any) -> int:
    made = length(given[0])
    if len(given) > 1 and isinstance(given[1], (list, tuple)):
        made += sum(map(_text_length, given[1]))
    return traversal(bounded(made))


def _text_length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes)) else 10 * _deep(value)


def _selector(*given: Any) -> int:
    return 10 + traversal(length(given[-1])) + 25 * length(given[-1])


def _range(*given: Any) -> int:
    return bounded(10 * given[0]) // 10 if isinstance(given[0], int) and given[0] > 0 else 1


FUNCTIONS: dict[str, Weight] = {
    **dict.fromkeys(
        ("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "flatten", "sort"), _elements
    ),
    **dict.fromkeys(
        ("url", "isURL", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey", "reverse",
         "cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver", "strings.quote",
         "string", "bytes", "slice", "timestamp", "duration", "int", "double", "uint"),
        _first(1),
    ),
    **dict.fromkeys(("split", "ip.isCanonical"), _first(2)),
    **dict.fromkeys(("matches", "find", "findAll"), _pattern),
    **dict.fromkeys(("sets.contains", "sets.equivalent", "sets.intersects"), _pairs),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    **dict.fromkeys(("startsWith", "endsWith"), lambda *given: traversal(length(given[-1]))),
    "distinct": _square,
    "contains": _search,
    "replace": _replacement,
    "join": _joined,
    "format": _formatted,
    "lists.range": _range,
    "validate": lambda *given: traversal(length(given[-1]) + 1) * 32,
    "check": lambda *given: CHECK,
}  # fmt: skip
