"""Conversions between types, and the language's own functions on texts.

Source: CEL language definition, "Standard definitions".
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from podium.api.cel import matching
from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import LEAST_INT, MOST_INT, MOST_UINT, TypeName, Uint, type_name, unsigned, whole
from podium.api.cel.operators import size
from podium.api.cel.times import duration, duration_text, moment, moment_text


def _int_of_text(text: str) -> int:
    try:
        return whole(int(text, 10))
    except ValueError:
        raise EvaluationError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _uint_of_text(text: str) -> Uint:
    try:
        return unsigned(int(text, 10))
    except ValueError:
        raise EvaluationError(f'strconv.ParseUint: parsing "{text}": invalid syntax') from None


def _int_of_double(value: float) -> int:
    if math.isnan(value) or not LEAST_INT < value < MOST_INT:
        raise EvaluationError("integer overflow")
    return int(value)


def _uint_of_double(value: float) -> Uint:
    if math.isnan(value) or not 0 <= value < MOST_UINT:
        raise EvaluationError("unsigned integer overflow")
    return Uint(value)


def _double_of_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise EvaluationError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None


def _bool_of_text(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise EvaluationError(f"type conversion error from '{text}' to 'bool'")


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None


def double_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("size", False, ("dyn",), "int", size),
    ("size", True, ("dyn",), "int", size),
    ("type", False, ("dyn",), "type", lambda value: TypeName(type_name(value))),
    ("dyn", False, ("dyn",), "dyn", lambda value: value),
    ("int", False, ("int",), "int", lambda value: value),
    ("int", False, ("uint",), "int", lambda value: whole(int(value))),
    ("int", False, ("double",), "int", _int_of_double),
    ("int", False, ("string",), "int", _int_of_text),
    ("int", False, ("timestamp",), "int", lambda value: math.floor(value.timestamp())),
    ("uint", False, ("uint",), "uint", lambda value: value),
    ("uint", False, ("int",), "uint", unsigned),
    ("uint", False, ("double",), "uint", _uint_of_double),
    ("uint", False, ("string",), "uint", _uint_of_text),
    ("double", False, ("double",), "double", lambda value: value),
    ("double", False, ("int",), "double", float),
    ("double", False, ("uint",), "double", float),
    ("double", False, ("string",), "double", _double_of_text),
    ("bool", False, ("bool",), "bool", lambda value: value),
    ("bool", False, ("string",), "bool", _bool_of_text),
    ("bytes", False, ("bytes",), "bytes", lambda value: value),
    ("bytes", False, ("string",), "bytes", str.encode),
    ("string", False, ("string",), "string", lambda value: value),
    ("string", False, ("int",), "string", str),
    ("string", False, ("uint",), "string", lambda value: str(int(value))),
    ("string", False, ("double",), "string", double_text),
    ("string", False, ("bool",), "string", lambda value: "true" if value else "false"),
    ("string", False, ("bytes",), "string", _text_of_bytes),
    ("string", False, ("timestamp",), "string", moment_text),
    ("string", False, ("duration",), "string", duration_text),
    ("timestamp", False, ("timestamp",), "timestamp", lambda value: value),
    ("timestamp", False, ("string",), "timestamp", moment),
    ("timestamp", False, ("int",), "timestamp", lambda value: _from_seconds(value)),
    ("duration", False, ("duration",), "duration", lambda value: value),
    ("duration", False, ("string",), "duration", duration),
    ("duration", False, ("int",), "duration", lambda value: timedelta(seconds=value)),
    ("startsWith", True, ("string", "string"), "bool", str.startswith),
    ("endsWith", True, ("string", "string"), "bool", str.endswith),
    ("contains", True, ("string", "string"), "bool", str.__contains__),
    ("matches", True, ("string", "string"), "bool", matching.matches),
    ("matches", False, ("string", "string"), "bool", matching.matches),
)


def _from_seconds(value: int) -> datetime:
    return moment("1970-01-01T00:00:00Z") + timedelta(seconds=value)
