"""Equality, order and arithmetic as the language has them: numbers are equal across their types, everything
else only to its own kind; integers have 64 bits and do not wrap.

Source: CEL language definition, "Standard definitions".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import Optional, Uint, overload, unsigned, whole

_NUMBERS = frozenset({int, float, Uint})
_SCALARS = frozenset({str, int, bool})
_ORDERED = (str, bytes, bool, datetime, timedelta)


def equal(one: Any, other: Any) -> bool:
    kind, second = type(one), type(other)
    if kind is second and kind not in (dict, list, Optional):
        return bool(one == other)
    if kind in _NUMBERS and second in _NUMBERS:
        return bool(one == other)
    if kind is second and kind is not Optional and one != other:
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return len(one) == len(other) and all(
            key in other and equal(value, other[key]) for key, value in one.items()
        )
    if _listed(one) and _listed(other):
        return len(one) == len(other) and (_plain(one, other) or all(map(equal, one, other)))
    if isinstance(one, Optional) and isinstance(other, Optional):
        return one.present == other.present and equal(one.value, other.value)
    return False


def _plain(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Of two lists that Python takes for equal: whether the language does, at a glance. (1 and true are equal
    to Python.)"""
    kinds = set(map(type, one))
    return one == other and kinds <= _SCALARS and len(kinds) == 1 and kinds == set(map(type, other))


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def order(one: Any, other: Any) -> int:
    """Below, at or above 0."""
    kind, second = type(one), type(other)
    both_numbers = kind in _NUMBERS and second in _NUMBERS
    if not both_numbers and (kind is not second or kind not in _ORDERED):
        raise overload()
    return int(one > other) - int(one < other)


def contained(item: Any, holder: Any) -> bool:
    if isinstance(holder, Mapping):
        return not isinstance(item, (list, dict)) and item in holder
    if not _listed(holder):
        raise overload()
    if type(item) is str:
        return item in holder
    return any(equal(item, each) for each in holder)


def add(one: Any, other: Any) -> Any:
    kind, second = type(one), type(other)
    if kind is int and second is int:
        return whole(one + other)
    if kind is second and kind in (float, str, bytes, timedelta):
        return _in_range(lambda: one + other)
    if kind is Uint and second is Uint:
        return unsigned(one + other)
    if _listed(one) and _listed(other):
        return [*one, *other]
    if {kind, second} == {datetime, timedelta}:
        return _in_range(lambda: one + other)
    raise overload()


def subtract(one: Any, other: Any) -> Any:
    kind, second = type(one), type(other)
    if kind is int and second is int:
        return whole(one - other)
    if kind is second and kind in (float, timedelta, datetime):
        return one - other
    if kind is Uint and second is Uint:
        return unsigned(int(one) - int(other))
    if kind is datetime and second is timedelta:
        return _in_range(lambda: one - other)
    raise overload()


def multiply(one: Any, other: Any) -> Any:
    kind, second = type(one), type(other)
    if kind is int and second is int:
        return whole(one * other)
    if kind is Uint and second is Uint:
        return unsigned(int(one) * int(other))
    if kind is float and second is float:
        return one * other
    raise overload()


def divide(one: Any, other: Any) -> Any:
    kind, second = type(one), type(other)
    if kind is float and second is float:
        if other:
            return one / other
        return (
            math.nan if not one or math.isnan(one) else math.copysign(math.inf, one * math.copysign(1, other))
        )
    if kind is not second or kind not in (int, Uint):
        raise overload()
    if not other:
        raise EvaluationError("division by zero")
    quotient = abs(int(one)) // abs(int(other))
    signed = quotient if (one < 0) == (other < 0) else -quotient
    return unsigned(signed) if kind is Uint else whole(signed)


def _by_zero(one: float, zero: float) -> float:
    if not one or math.isnan(one):
        return math.nan
    return math.copysign(math.inf, one * math.copysign(1, zero))


def modulo(one: Any, other: Any) -> Any:
    kind, second = type(one), type(other)
    if kind is not second or kind not in (int, Uint):
        raise overload()
    if not other:
        raise EvaluationError("modulus by zero")
    rest = abs(int(one)) % abs(int(other))
    return unsigned(rest) if kind is Uint else (rest if one >= 0 else -rest)


def negate(one: Any) -> Any:
    if type(one) is int:
        return whole(-one)
    if type(one) in (float, timedelta):
        return -one
    raise overload()


def invert(one: Any) -> bool:
    if type(one) is bool:
        return not one
    raise overload()


def index(holder: Any, key: Any) -> Any:
    if isinstance(holder, Mapping):
        try:
            return holder[key]
        except (KeyError, TypeError):
            raise EvaluationError(f"no such key: {key}") from None
    if not _listed(holder):
        raise overload()
    if type(key) is float and key.is_integer():
        key = int(key)
    if type(key) not in (int, Uint):
        raise overload()
    if not 0 <= key < len(holder):
        raise EvaluationError(f"index out of bounds: {key}")
    return holder[key]


def size(value: Any) -> int:
    if isinstance(value, (str, bytes, Mapping)) or _listed(value):
        return len(value)
    raise overload()


def _in_range(made: Callable[[], Any]) -> Any:
    try:
        return made()
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "_==_": equal,
    "_!=_": lambda one, other: not equal(one, other),
    "_<_": lambda one, other: order(one, other) < 0,
    "_<=_": lambda one, other: order(one, other) <= 0,
    "_>_": lambda one, other: order(one, other) > 0,
    "_>=_": lambda one, other: order(one, other) >= 0,
    "@in": contained,
    "_in_": contained,
    "_+_": add,
    "_-_": subtract,
    "_*_": multiply,
    "_/_": divide,
    "_%_": modulo,
    "_[_]": index,
}
UNARY: dict[str, Callable[[Any], Any]] = {"!_": invert, "-_": negate}
