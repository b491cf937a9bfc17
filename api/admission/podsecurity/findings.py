"""What a check finds in a pod, in upstream's words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from podium.api.types import Obj


class Finding(NamedTuple):
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


# Of a pod's metadata and spec.
Check = Callable[[Obj, Obj], Finding | None]


def containers(spec: Obj) -> Iterator[Obj]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def context(part: Obj) -> Obj:
    """The securityContext of a pod's spec or of a container."""
    found: Obj = part.get("securityContext") or {}
    return found


def quoted(items: Iterable[Any]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def plural(word: str, items: Iterable[Any]) -> str:
    return word if len(list(items)) == 1 else f"{word}s"


def named(word: str, names: list[str]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{plural(word, names)} {quoted(names)}"


def setters(pod: bool, names: list[str]) -> str:
    """Who sets something bad: the pod, containers, or both; "" for nobody."""
    return " and ".join([*(["pod"] if pod else []), *([named("container", names)] if names else [])])


def in_user_namespace(spec: Obj) -> bool:
    return spec.get("hostUsers") is False


def on_windows(spec: Obj) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"
