"""Values that have a form of their own: quantities, times, bytes, int-or-string. Each function takes what
JSON gave and returns the form that is stored, or raises `Mismatch` (another JSON type was wanted) or
`Malformed` (right type, wrong text).

Source of the texts: apimachinery resource.Quantity, metav1.Time, metav1.MicroTime, intstr.IntOrString; Go's
time, base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from podium.api.types import quantity
from podium.api.types.remembering import remembered


class Mismatch(Exception):
    """A value of another JSON type than the field's. `path` is a linked path (see `walk.Path`)."""

    def __init__(self, value: Any, go_type: str, path: Any = None) -> None:
        super().__init__(go_type)
        self.value = value
        self.go_type = go_type
        self.path = path

    @property
    def value_name(self) -> str:
        """How Go's decoder names the value: with the digits where a number does not fit into an integer."""
        value = self.value
        if isinstance(value, bool):
            return "bool"
        if isinstance(value, (int, float)):
            numeric = self.go_type in ("int32", "int64", "int")
            return f"number {value}" if numeric else "number"
        names: dict[type, str] = {str: "string", list: "array", dict: "object"}
        return names[type(value)]


class Malformed(Exception):
    """A text that the field's type cannot read; the message stands alone, as upstream's does."""


MAX_INT64 = 2**63 - 1
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_UNITS = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(.*)")


@remembered(4096)
def canonical_quantity(text: str) -> str:
    """The canonical form of a quantity: no fraction, the largest unit that keeps it exact, the unit's family
    kept. `0.5` is `500m`, `1024Mi` is `1Gi`, `1000` is `1k`. Nothing is finer than a nano. Raises
    Malformed."""
    try:
        amount = quantity.parse(text.strip())
    except (ValueError, ArithmeticError):
        raise Malformed(quantity.MESSAGE) from None
    amount = max(min(amount, Decimal(MAX_INT64)), Decimal(-MAX_INT64))
    found = _UNITS.fullmatch(text.strip())
    unit = found.group(1) if found else ""
    if unit.endswith("i") and abs(amount) >= 1024:
        return _binary(int(amount.to_integral_value(ROUND_CEILING)))
    return _decimal(amount, exponent_form=unit[:1] in ("e", "E") and len(unit) > 1)


def _binary(amount: int) -> str:
    power = 0
    while amount % 1024 == 0 and power < len(_BINARY) - 1:
        amount //= 1024
        power += 1
    return f"{amount}{_BINARY[power]}"


def _decimal(amount: Decimal, exponent_form: bool) -> str:
    nanos = int((amount * 10**9).to_integral_value(ROUND_CEILING))
    if nanos == 0:
        return "0"
    exponent = -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos //= 1000
        exponent += 3
    if exponent_form:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL[exponent]}"


def quantity_from_other(value: Any) -> str:
    """A quantity given as a bare number; anything but a number is malformed."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(quantity.MESSAGE)
    return canonical_quantity(str(value))


_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)")
_ELEMENTS = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
    ("05", r"\d\d"),
)
TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"
MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


@remembered(1024)
def time(text: str) -> str:
    """A metav1.Time in UTC and whole seconds. Raises Malformed with Go's text."""
    if _SECONDS.fullmatch(text):
        _moment(text, TIME_LAYOUT)
        return text
    return _text(_moment(text, TIME_LAYOUT), "seconds")


def micro_time(text: str) -> str:
    """A metav1.MicroTime in UTC with six digits. Raises Malformed with Go's text."""
    moment = _moment(text, MICRO_LAYOUT)
    if "." not in text:
        raise Malformed(_time_message(text, MICRO_LAYOUT, ".000000", text[19:]))
    return _text(moment, "microseconds")


def _text(moment: datetime, precision: str) -> str:
    """Of a moment in UTC. Not by strftime, which writes years before 1000 with fewer than four digits."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec=precision)}Z"


def _moment(text: str, layout: str) -> datetime:
    found = _RFC3339.fullmatch(text)
    if not found:
        raise Malformed(_unreadable_time(text, layout))
    fraction = (found.group(1) or "")[1:7].ljust(6, "0")
    zone = "+00:00" if found.group(2) == "Z" else found.group(2)
    try:
        return datetime.fromisoformat(f"{text[:19]}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        part = str(error).split(" ", 1)[0]
        raise Malformed(f'parsing time "{text}": {part} out of range') from None


def _unreadable_time(text: str, layout: str) -> str:
    rest = text
    for element, pattern in _ELEMENTS:
        found = re.match(pattern, rest)
        if not found:
            return _time_message(text, layout, element, rest)
        rest = rest[found.end() :]
    return _time_message(text, layout, "Z07:00", re.sub(r"^[.,]\d+", "", rest))


def _time_message(text: str, layout: str, element: str, rest: str) -> str:
    return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"'


def base64_bytes(text: str) -> str:
    """Standard base64, re-encoded only if line breaks were in it. Raises Malformed with the offset of the
    first bad byte."""
    try:
        binascii.a2b_base64(text, strict_mode=True) if text else b""
    except (binascii.Error, ValueError):
        joined = text.replace("\r", "").replace("\n", "")
        try:
            return base64.b64encode(base64.b64decode(joined, validate=True)).decode()
        except (binascii.Error, ValueError):
            raise Malformed(f"illegal base64 data at input byte {_bad_base64(text)}") from None
    return text


def _bad_base64(text: str) -> int:
    found = re.match(r"[A-Za-z0-9+/\r\n]*", text)
    good = found.end() if found else 0
    if good == len(text):
        return good - good % 4
    return good


def int_or_string_from_other(value: Any) -> int:
    """The integer of an int-or-string. Raises Mismatch for what is neither."""
    return int32(value)


def int32(value: Any) -> int:
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    raise Mismatch(value, "int32")


def int64(value: Any) -> int:
    if type(value) is int and -(2**63) <= value <= MAX_INT64:
        return value
    raise Mismatch(value, "int64")
