"""Functions on texts.

Source: CEL's extended strings library, version 2; docs, "Kubernetes regex library".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from podium.api.cel import matching
from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import TypeName, Uint, type_name
from podium.api.cel.times import duration_text, moment_text

_QUOTED = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v",
           "\\": r"\\", '"': r"\""}  # fmt: skip
_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _escape_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _char_at(text: str, place: int) -> str:
    if not 0 <= place <= len(text):
        raise EvaluationError(f"index out of range: {place}")
    return text[place : place + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if start is not None and not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    if not part:
        return len(text) if start is None else start
    return text.rfind(part) if start is None else text.rfind(part, 0, start + len(part))


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    if not 0 <= end <= len(text):
        raise EvaluationError(f"index out of range: {end}")
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if limit == 1:
        return [text]
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if 0 < limit < len(text):
        return [*text[: limit - 1], text[limit - 1 :]]
    return list(text)


def _replace(text: str, old: str, new: str, times: int = -1) -> str:
    return text.replace(old, new, times)


def _join(items: list[Any], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise EvaluationError("no such overload")
    return separator.join(items)


def _lower(text: str) -> str:
    return "".join(chr(ord(each) + 32) if "A" <= each <= "Z" else each for each in text)


def _upper(text: str) -> str:
    return "".join(chr(ord(each) - 32) if "a" <= each <= "z" else each for each in text)


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(each, each) for each in text) + '"'


def _format(text: str, arguments: list[Any]) -> str:
    made: list[str] = []
    place, used = 0, 0
    while (found := text.find("%", place)) >= 0:
        made.append(text[place:found])
        place = found + 1
        if text[place : place + 1] == "%":
            made.append("%")
            place += 1
            continue
        precision, verb, place = _clause(text, place)
        if used >= len(arguments):
            raise EvaluationError(f"index {used} out of range")
        made.append(_clause_text(verb, precision, arguments[used]))
        used += 1
    made.append(text[place:])
    return "".join(made)


def _clause(text: str, place: int) -> tuple[int | None, str, int]:
    end, precision = place, None
    if text[end : end + 1] == ".":
        end += 1
        while text[end : end + 1].isdecimal():
            end += 1
        precision = min(int(text[place + 1 : end] or 0), 1000)
    if end >= len(text):
        raise EvaluationError("unexpected end of string")
    return precision, text[end], end + 1


def _clause_text(verb: str, precision: int | None, value: Any) -> str:
    whole = type(value) in (int, Uint)
    match verb:
        case "s":
            return _shown(value)
        case "d" if whole:
            return str(int(value))
        case "d" if type(value) is float and not math.isfinite(value):
            return _shown(value)
        case "f" | "e" if whole or type(value) is float:
            if not math.isfinite(value):
                return _shown(float(value))
            return f"{float(value):.{6 if precision is None else precision}{verb}}"
        case "b" if type(value) is bool:
            return str(int(value))
        case "b" | "o" if whole:
            return f"{int(value):{verb}}"
        case "x" | "X" if whole:
            return f"{int(value):{verb}}"
        case "x" | "X" if isinstance(value, (str, bytes)):
            found = (value.encode() if isinstance(value, str) else value).hex()
            return found.upper() if verb == "X" else found
        case "d" | "f" | "e" | "b" | "o" | "x" | "X":
            raise EvaluationError(f"error during formatting: %{verb} cannot be used on {type_name(value)}")
    raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        from podium.api.cel.conversions import double_text

        return {"+Inf": "Infinity", "-Inf": "-Infinity"}.get(text := double_text(value), text)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, TypeName):
        return value.name
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{_shown(key)}: {_shown(each)}" for key, each in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("find", True, ("string", "string"), "string", matching.find),
    ("findAll", True, ("string", "string"), "strings", matching.find_all),
    ("findAll", True, ("string", "string", "int"), "strings", matching.find_all),
    ("jsonpatch.escapeKey", False, ("string",), "string", _escape_key),
    ("charAt", True, ("string", "int"), "string", _char_at),
    ("indexOf", True, ("string", "string"), "int", _index_of),
    ("indexOf", True, ("string", "string", "int"), "int", _index_of),
    ("lastIndexOf", True, ("string", "string"), "int", _last_index_of),
    ("lastIndexOf", True, ("string", "string", "int"), "int", _last_index_of),
    ("substring", True, ("string", "int"), "string", _substring),
    ("substring", True, ("string", "int", "int"), "string", _substring),
    ("split", True, ("string", "string"), "strings", _split),
    ("split", True, ("string", "string", "int"), "strings", _split),
    ("replace", True, ("string", "string", "string"), "string", _replace),
    ("replace", True, ("string", "string", "string", "int"), "string", _replace),
    ("join", True, ("strings",), "string", _join),
    ("join", True, ("strings", "string"), "string", _join),
    ("lowerAscii", True, ("string",), "string", _lower),
    ("upperAscii", True, ("string",), "string", _upper),
    ("trim", True, ("string",), "string", lambda text: text.strip(_SPACE)),
    ("format", True, ("string", "list"), "string", _format),
    ("strings.quote", False, ("string",), "string", _quote),
)
