"""Files that containers leave variables in for others: `NAME='value'` lines, comments and blank lines. Values
stand in single quotes, may go over several lines, and are taken as they are. Source: KEP-3721."""

from __future__ import annotations

import re

_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_NAME = re.compile(r"[ \t]*([^=\n]*)=")
_VALUE = re.compile(r"'([^']*)'[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_NOTHING = re.compile(r"[ \t]+[^\n]*(?:\n|\Z)")


def value(text: str, key: str) -> str:
    """The value of the first variable of that name, "" without one. Only what comes before it is looked at.
    Raises ValueError."""
    at = 0
    while at < len(text):
        if skipped := _LINE.match(text, at):
            at = skipped.end()
            continue
        line = text.count("\n", 0, at) + 1
        name = _NAME.match(text, at)
        if name is None:
            raise ValueError(f"invalid environment variable format at line {line}: missing '='")
        if not name[1] or name[1] != name[1].rstrip(" \t"):
            raise ValueError(f"invalid environment variable format at line {line}: no name before '='")
        found = _VALUE.match(text, name.end())
        empty = _NOTHING.match(text, name.end())
        if found is None and empty is None:
            why = "the value must be enclosed in single quotes"
            raise ValueError(f"invalid environment variable format at line {line}: {why}")
        if name[1] == key:
            return found[1] if found else ""
        at = (found or empty).end()  # type: ignore[union-attr]
    return ""
