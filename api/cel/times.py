"""Timestamps and durations.

Source: CEL language definition, "Abstract types".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from podium.api.cel.errors import EvaluationError

_FORM = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)")
Numbers = Callable[[datetime], int]


def moment(text: str) -> datetime:
    if _FORM.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError as error:
            raise EvaluationError(f'parsing time "{text}": {error}') from None
    raise EvaluationError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse')


def moment_text(value: datetime) -> str:
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def duration(text: str) -> timedelta:
    """Go's form: "1h30m", "-1.5s", "0"."""
    bare = text.lstrip("+-")
    parts = _PART.findall(bare)
    if bare == "0":
        return timedelta()
    if not parts or "".join(number + unit for number, unit in parts) != bare or len(text) - len(bare) > 1:
        raise EvaluationError(f'time: invalid duration "{text}"')
    value = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    return -value if text.startswith("-") else value


def duration_text(value: timedelta) -> str:
    whole, part = divmod(value // timedelta(microseconds=1), 1_000_000)
    if not part:
        return f"{whole}s"
    text = f"{value / timedelta(seconds=1):.6f}".rstrip("0")
    return f"{text}s"


def _zone(text: str) -> tzinfo:
    if found := _OFFSET.fullmatch(text):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        raise EvaluationError(f"unknown time zone {text}") from None


_GETTERS: dict[str, Numbers] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDate": lambda at: at.day,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_LENGTHS: dict[str, float] = {"getHours": 3600, "getMinutes": 60, "getSeconds": 1, "getMilliseconds": 0.001}


def _in_utc(read: Numbers) -> Callable[[datetime], int]:
    return lambda value: read(value.astimezone(UTC))


def _in_zone(read: Numbers) -> Callable[[datetime, str], int]:
    return lambda value, zone: read(value.astimezone(_zone(zone)))


def _in_units(unit: float) -> Callable[[timedelta], int]:
    return lambda value: int(value / timedelta(seconds=unit))


# Name, whether it is a method, parameters, result, implementation: what the checker knows.
STANDARD: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    *((name, True, ("timestamp",), "int", _in_utc(read)) for name, read in _GETTERS.items()),
    *((name, True, ("timestamp", "string"), "int", _in_zone(read)) for name, read in _GETTERS.items()),
    *((name, True, ("duration",), "int", _in_units(unit)) for name, unit in _LENGTHS.items()),
)
