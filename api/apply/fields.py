"""Sets of fields, in the form of FieldsV1: a tree whose steps are `f:NAME` (a field), `k:{...}` (the item of
a list with these keys), `v:VALUE` (a set's item) and `i:N` (a place in a list).

An empty node is a member without members below; a node with others below it is one itself where it has `.`.
Trees are never changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import orjson

Fields: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

SELF = "."


def check(fields: Any) -> None:
    """Raises ValueError for what is no set of fields."""
    if not isinstance(fields, dict):
        raise ValueError(f"no set of fields: {fields!r}")
    for step, node in fields.items():
        kind, rest = step[:2], step[2:]
        if step == SELF:
            well_formed = node == {}
        elif kind in ("k:", "v:"):
            value = orjson.loads(rest)
            well_formed = kind == "v:" or (isinstance(value, dict) and bool(value))
        else:
            well_formed = kind == "f:" or (
                kind == "i:" and rest.isascii() and rest.isdigit() and len(rest) < 10
            )
        if not well_formed:
            raise ValueError(f"no step of a set of fields: {step!r}")
        check(node)


def is_member(node: Fields) -> bool:
    return not node or SELF in node


def node_of(member: bool, below: Fields) -> Fields | None:
    """The node of a member or not, with what is below it; None for nothing at all."""
    if not below:
        return {} if member else None
    return {SELF: {}, **below} if member else below


def below(node: Fields) -> Fields:
    return {step: child for step, child in node.items() if step != SELF} if SELF in node else node


def union(one: Fields, other: Fields) -> Fields:
    """Of two sets (not nodes: the root is no member)."""
    result = dict(one)
    for step, theirs in other.items():
        mine = result.get(step)
        if mine is None:
            result[step] = theirs
        elif mine is not theirs:
            member = is_member(mine) or is_member(theirs)
            result[step] = node_of(member, union(below(mine), below(theirs))) or {}
    return result


def difference(one: Fields, other: Fields) -> Fields:
    result: Fields = {}
    for step, mine in one.items():
        theirs = other.get(step)
        left: Fields | None = mine
        if theirs is not None:
            member = is_member(mine) and not is_member(theirs)
            left = node_of(member, difference(below(mine), below(theirs)))
        if left is not None:
            result[step] = left
    return result


def intersection(one: Fields, other: Fields) -> Fields:
    result: Fields = {}
    for step, mine in one.items():
        theirs = other.get(step)
        if theirs is not None:
            member = is_member(mine) and is_member(theirs)
            shared = node_of(member, intersection(below(mine), below(theirs)))
            if shared is not None:
                result[step] = shared
    return result


def without_trees(fields: Fields, roots: Fields) -> Fields:
    """Without the members of `roots` and everything below them."""
    result: Fields = {}
    for step, mine in fields.items():
        root = roots.get(step)
        if root is None:
            result[step] = mine
        elif not is_member(root):
            left = node_of(is_member(mine), without_trees(below(mine), root))
            if left is not None:
                result[step] = left
    return result


def tree(*paths: Path) -> Fields:
    """The set of these paths."""
    result: Fields = {}
    for path in paths:
        nested: Fields = {}
        for step in reversed(path):
            nested = {step: nested}
        result = union(result, nested)
    return result


def ordered(fields: Fields) -> Fields:
    """A copy in the order in which sets are written."""
    made: Fields = orjson.loads(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))
    return made


def members(fields: Fields, path: Path = ()) -> Iterator[Path]:
    for step, node in sorted(fields.items()):
        if is_member(node):
            yield (*path, step)
        yield from members(below(node), (*path, step))


def shown(path: Path) -> str:
    """As messages show a path: `.spec.containers[name="web"].image`."""
    return "".join(map(_shown_step, path))


def _shown_step(step: str) -> str:
    kind, text = step[0], step[2:]
    match kind:
        case "f":
            return f".{text}"
        case "k":
            keys: dict[str, Any] = orjson.loads(text)
            return f"[{','.join(f'{key}={orjson.dumps(value).decode()}' for key, value in keys.items())}]"
        case "v":
            return f"[={text}]"
    return f"[{text}]"
