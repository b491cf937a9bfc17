"""The JSONPath of printer columns, selectable fields and scales: fields, indices, slices, wildcards,
recursive descent, and filters.

Source: docs, "JSONPath Support"; RFC 9535 has the words, kubectl the dialect.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.\.(?P<deep>[\w\-/]+|\*) | \.(?P<name>(?:[^.\[\]\\*]|\\.)+) | \.(?P<all>\*) | \[(?P<wild>\*)\]
    | \[(?P<index>-?\d+)\] | \[(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\]
    | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\] | \[\?\((?P<filter>[^()]*)\)\]""",
    re.VERBOSE,
)
_FILTER = re.compile(r"\s*@(?P<left>[^=!<>\s]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


class JsonPath:
    """A path like `.spec.items[0].name`. Raises ValueError for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = list(_parse(text.removeprefix("$")))

    def find(self, value: Any) -> list[Any]:
        """What is there; nothing where there is nothing."""
        found = [value]
        for step in self._steps:
            found = [each for one in found for each in step(one)]
        return found


def _parse(text: str) -> Iterator[Step]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"invalid JSONPath {text!r} at {position}")
        kind = match.lastgroup or ""
        yield _MAKERS[kind](match[kind])
        position = match.end()


def _field(name: str) -> Step:
    key = re.sub(r"\\(.)", r"\1", name)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and key in value:
            yield value[key]

    return step


def _every(_: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value

    return step


def _index(text: str) -> Step:
    index = int(text)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(text: str) -> Step:
    parts = slice(*(int(part) if part else None for part in text.split(":")))
    if parts.step is not None and parts.step <= 0:
        raise ValueError("a step of a slice must be positive")

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[parts]

    return step


def _deep(name: str) -> Step:
    own = _every("") if name == "*" else _field(name)
    children = _every("")

    def step(value: Any) -> Iterator[Any]:
        yield from own(value)
        for child in children(value):
            yield from step(child)

    return step


def _filter(text: str) -> Step:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid filter {text!r}")
    left = JsonPath(match["left"])
    compare = _OPERATORS.get(match["op"] or "")
    right = _literal(match["right"]) if compare else None

    def step(value: Any) -> Iterator[Any]:
        for entry in value if isinstance(value, list) else ():
            have = left.find(entry)
            if have and (compare is None or _holds(compare, have[0], right)):
                yield entry

    return step


def _holds(compare: Callable[[Any, Any], bool], one: Any, other: Any) -> bool:
    try:
        return compare(one, other)
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text[:1] == "'" == text[-1:]:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"invalid literal {text!r}") from None


_MAKERS: dict[str, Callable[[str], Step]] = {
    "deep": _deep, "name": _field, "all": _every, "wild": _every, "index": _index, "slice": _slice,
    "quoted": lambda text: _field(text[1:-1]), "filter": _filter,
}  # fmt: skip
