"""JSON on its way into an expression, by its schema."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import type_name
from podium.api.cel.times import duration_text, moment_text
from podium.api.types import Obj

RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
        "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_IDENTIFIER = re.compile(r"[A-Za-z_.\-/][A-Za-z0-9_.\-/]*")
_UNIT = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")


def escape(name: str) -> str | None:
    """What a property is called in an expression; None for one that no expression can name."""
    if name in RESERVED:
        return f"__{name}__"
    if not _IDENTIFIER.fullmatch(name):
        return None
    name = name.replace("__", "__underscores__")
    return name.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def shaped(schema: Obj) -> bool:
    """Whether `conform` has anything to do below this schema."""
    if schema.get("type") == "number" or schema.get("format") in _FORMATS:
        return True
    named = schema.get("properties") or {}
    if any(escape(name) != name or shaped(below) for name, below in named.items()):
        return True
    for key in ("items", "additionalProperties"):
        below = schema.get(key)
        if isinstance(below, dict) and shaped(below):
            return True
    return False


def conform(value: Any, schema: Obj) -> Any:
    """The value as its schema has it in an expression: numbers are doubles, texts with a format of their own
    are bytes, timestamps and durations, and properties have their escaped names. Unlike properties, the keys
    of maps are kept. A copy where anything differs."""
    if isinstance(value, dict):
        return _conform_object(value, schema)
    if isinstance(value, list):
        below = schema.get("items")
        return [conform(item, below) for item in value] if isinstance(below, dict) else value
    if isinstance(value, int) and not isinstance(value, bool) and schema.get("type") == "number":
        return float(value)
    if isinstance(value, str) and (convert := _FORMATS.get(schema.get("format") or "")):
        return convert(value)
    return value


def _conform_object(value: Obj, schema: Obj) -> Obj:
    named = schema.get("properties") or {}
    more = schema.get("additionalProperties")
    made: Obj = {}
    for key, item in value.items():
        if key in named:
            name = escape(key)
            if name is not None:
                made[name] = conform(item, named[key])
        elif isinstance(more, dict):
            made[key] = conform(item, more)
        else:
            made[key] = item
    return made


def plain(value: Any) -> Any:
    """An expression's value as JSON. Raises EvaluationError for one that has no such form."""
    if isinstance(value, Mapping):
        return {plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, (bool, float, str)):
        return value
    raise EvaluationError(f"type conversion error from '{type_name(value)}' to JSON")


def plain_key(key: Any) -> str:
    if isinstance(key, str):
        return key
    raise EvaluationError("only strings may be keys of an object")


def timestamp(text: str) -> Any:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duration(text: str) -> Any:
    sign = -1 if text.startswith("-") else 1
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.lstrip("+-"):
        return text
    try:
        return sign * timedelta(seconds=sum(float(number) * _UNIT[unit] for number, unit in parts))
    except (OverflowError, ValueError):
        # Longer than any duration.
        return text


def _bytes(text: str) -> Any:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text


_FORMATS = {
    "date": timestamp,
    "date-time": timestamp,
    "datetime": timestamp,
    "duration": duration,
    "byte": _bytes,
}
