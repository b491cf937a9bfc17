"""Functions on texts: regular expressions, paths of JSON patches."""

from __future__ import annotations

from typing import Any

from podium.api.cel import matching


def _escape_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("find", True, ("string", "string"), "string", matching.find),
    ("findAll", True, ("string", "string"), "strings", matching.find_all),
    ("findAll", True, ("string", "string", "int"), "strings", matching.find_all),
    ("jsonpatch.escapeKey", False, ("string",), "string", _escape_key),
)
