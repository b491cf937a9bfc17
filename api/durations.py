"""Durations as clients write them in a request's URL: `32s`, `1m30s`, `500ms`. Source: Go, package time,
ParseDuration."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")
# The largest there is: 2^63 nanoseconds.
MOST = (1 << 63) / 1e9


def seconds(text: str) -> float:
    """Raises ValueError, which says why as clients know it."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        if found is None:
            raise _invalid(text)
        number, unit = found.groups()
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        at = found.end()
    if not rest or total >= MOST:
        raise _invalid(text)
    return sign * total


def _invalid(text: str) -> ValueError:
    return ValueError(f'time: invalid duration "{text}"')
