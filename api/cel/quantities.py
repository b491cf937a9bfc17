"""Quantities of resources.

Source: docs, "Kubernetes quantity library".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import LEAST_INT, MOST_INT
from podium.api.types.quantity import parse


@dataclass(frozen=True, slots=True)
class Quantity:
    amount: Decimal
    TYPE: ClassVar[str] = "kubernetes.Quantity"


def _quantity(text: str) -> Quantity:
    return Quantity(parse(text))


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _compare(one: Quantity, other: Quantity) -> int:
    return (one.amount > other.amount) - (one.amount < other.amount)


def _is_integer(given: Quantity) -> bool:
    amount = given.amount
    return LEAST_INT <= amount <= MOST_INT and amount == amount.to_integral_value()


def _integer(given: Quantity) -> int:
    if not _is_integer(given):
        raise EvaluationError("cannot convert value to integer")
    return int(given.amount)


_TWO = ("Quantity", "Quantity")
# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("quantity", False, ("string",), "Quantity", _quantity),
    ("isQuantity", False, ("string",), "bool", _is_quantity),
    ("compareTo", True, _TWO, "int", _compare),
    ("isGreaterThan", True, _TWO, "bool", lambda one, other: _compare(one, other) > 0),
    ("isLessThan", True, _TWO, "bool", lambda one, other: _compare(one, other) < 0),
    ("add", True, _TWO, "Quantity", lambda one, other: Quantity(one.amount + other.amount)),
    ("add", True, ("Quantity", "int"), "Quantity", lambda one, other: Quantity(one.amount + other)),
    ("sub", True, _TWO, "Quantity", lambda one, other: Quantity(one.amount - other.amount)),
    ("sub", True, ("Quantity", "int"), "Quantity", lambda one, other: Quantity(one.amount - other)),
    ("asInteger", True, ("Quantity",), "int", _integer),
    ("isInteger", True, ("Quantity",), "bool", _is_integer),
    ("asApproximateFloat", True, ("Quantity",), "double", lambda given: float(given.amount)),
    ("sign", True, ("Quantity",), "int", lambda given: (given.amount > 0) - (given.amount < 0)),
)
