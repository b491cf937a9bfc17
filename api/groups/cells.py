"""What the cells of Table rows are made of: ages, selectors, containers.

Source: Kubernetes' printers for `kubectl get`, whose every column scripts rely on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from podium.api.strategy import NAME, Column
from podium.api.types import Obj
from podium.api.types.selectors import selector_text

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


def table(*names: str) -> tuple[Column, ...]:
    """Columns from `Name`, `Count:integer`, `Node:string:1`: name, type and priority. `Name` is the object's
    name."""
    return tuple(NAME if name == "Name" else _column(*name.split(":")) for name in names)


def _column(name: str, kind: str = "string", priority: str = "0", form: str = "") -> Column:
    return Column(name, kind, form, "", int(priority))


CONTAINERS = ("Containers:string:1", "Images:string:1", "Selector:string:1")


# How the time since a moment (Unix time) is written while it is open until when. No object's text is like it.
_TOKEN = secrets.token_hex(8)
MARK = re.compile(rf"<{_TOKEN}:([^>]*)>".encode())


class Anytime(datetime):
    """Stands for now where cells are made that are filled in later. Rows may only ask it how long something
    is ago, and say that with `human`."""

    def __sub__(self, other: datetime) -> timedelta:  # type: ignore[override]
        return OpenSpan(other)


class OpenSpan(timedelta):
    """The time since `start`, until whenever."""

    start: datetime

    def __new__(cls, start: datetime) -> OpenSpan:
        span = super().__new__(cls)
        span.start = start
        return span


@lru_cache(maxsize=8192)
def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def age(obj: Obj, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(text: str | None, now: datetime) -> str:
    """The time since a timestamp, as people say it."""
    return human(now - moment(text)) if text else UNKNOWN


def human(span: timedelta) -> str:
    """Two or three significant figures: 95s, 4m30s, 47m, 5h10m, 30h, 3d4h, 200d, 2y20d."""
    if isinstance(span, OpenSpan):
        return f"<{_TOKEN}:{span.start.timestamp()}>"
    seconds = int(span.total_seconds())
    if seconds < -1:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _days(hours)


def _days(hours: int) -> str:
    days = hours // 24
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}{second}{second_unit}" if second else f"{first}{first_unit}"


def labels(values: Mapping[str, str] | None) -> str:
    """`a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted((values or {}).items())) or NONE


def selector(value: Obj | None) -> str:
    return selector_text(value) or NONE


def containers(template: Obj | None) -> list[str]:
    """The names and the images of a pod template's containers: two cells."""
    listed = ((template or {}).get("spec") or {}).get("containers") or ()
    return [",".join(entry.get(key, "") for entry in listed) for key in ("name", "image")]


def shortened(entries: Iterable[str], count: int | None = None, limit: int = 3, empty: str = UNSET) -> str:
    """The first few of a list, and how many more there are."""
    listed = list(entries)
    total = len(listed) if count is None else count
    text = ",".join(listed[:limit])
    if total > limit:
        return f"{text} + {total - limit} more..."
    return text or empty


def boolean(value: Any) -> str:
    """A cell for an optional boolean."""
    if value is None:
        return UNSET
    return "True" if value else "False"
