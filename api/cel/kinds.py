"""The values that JSON has no form for, and the names of types."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from podium.api.cel.errors import EvaluationError

LEAST_INT, MOST_INT, MOST_UINT = -(2**63), 2**63 - 1, 2**64 - 1


class Uint(int):
    """An unsigned integer: another type than int, which it equals by value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TypeName:
    """What `type(x)` gives."""

    name: str


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be missing."""

    present: bool
    value: Any = None


NONE = Optional(False)


@dataclass(frozen=True, slots=True)
class Address:
    value: ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Block:
    """An address with the length of its prefix."""

    value: ipaddress.IPv4Interface | ipaddress.IPv6Interface


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    dict: "map",
    type(None): "null_type",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
    TypeName: "type",
    Optional: "optional_type",
    Address: "net.IP",
    Block: "net.CIDR",
}
TYPES = frozenset({"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"})


def type_name(value: Any) -> str:
    found = _NAMES.get(type(value)) or getattr(value, "TYPE", None)
    if found is None:
        found = next((name for kind, name in _NAMES.items() if isinstance(value, kind)), "dyn")
    return str(found)


def whole(value: int) -> int:
    if LEAST_INT <= value <= MOST_INT:
        return value
    raise EvaluationError("integer overflow")


def unsigned(value: int) -> Uint:
    if 0 <= value <= MOST_UINT:
        return Uint(value)
    raise EvaluationError("unsigned integer overflow")


def overload() -> EvaluationError:
    return EvaluationError("no such overload")
