"""Quantities in expressions; between the calls they are their canonical texts, so that equal ones are
equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from podium.api.types.quantity import parse


def _canonical(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _quantity(text: str) -> str:
    return _canonical(parse(text))


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _compare(one: str, other: str) -> int:
    left, right = Decimal(one), Decimal(other)
    return (left > right) - (left < right)


def _add(one: str, other: str | int) -> str:
    return _canonical(Decimal(one) + Decimal(other))


def _sub(one: str, other: str | int) -> str:
    return _canonical(Decimal(one) - Decimal(other))


def _integer(text: str) -> int:
    amount = Decimal(text)
    if amount != amount.to_integral_value():
        raise ValueError("cannot convert value to integer")
    return int(amount)


_TWO = ("Quantity", "Quantity")
# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("quantity", False, ("string",), "Quantity", _quantity),
    ("isQuantity", False, ("string",), "bool", _is_quantity),
    ("compareTo", True, _TWO, "int", _compare),
    ("isGreaterThan", True, _TWO, "bool", lambda one, other: _compare(one, other) > 0),
    ("isLessThan", True, _TWO, "bool", lambda one, other: _compare(one, other) < 0),
    ("add", True, _TWO, "Quantity", _add),
    ("add", True, ("Quantity", "int"), "Quantity", _add),
    ("sub", True, _TWO, "Quantity", _sub),
    ("sub", True, ("Quantity", "int"), "Quantity", _sub),
    ("asInteger", True, ("Quantity",), "int", _integer),
    ("isInteger", True, ("Quantity",), "bool", lambda text: Decimal(text) == int(Decimal(text))),
    ("asApproximateFloat", True, ("Quantity",), "double", float),
    ("sign", True, ("Quantity",), "int", lambda text: _compare(text, "0")),
)
