"""What happens to values: comparing two objects, merging a configuration in, taking fields out."""

from __future__ import annotations

from typing import Any, NamedTuple

from podium.api.apply.fields import Fields, below, is_member, node_of
from podium.api.apply.shapes import LEAF, Shape, comes_apart
from podium.api.types import Obj


class Changes(NamedTuple):
    """Disjoint sets of fields."""

    added: Fields
    modified: Fields
    removed: Fields


_NOTHING = object()


def compare(shape: Shape, old: Obj, new: Obj) -> Changes:
    """Raises Undetermined."""
    found = Changes({}, {}, {})
    _compare_parts(shape, old, new, found)
    return found


def _put(fields: Fields, step: str, node: Fields | None) -> None:
    if node is not None:
        fields[step] = node


def _compare(shape: Shape, old: Any, new: Any, step: str, found: Changes) -> None:
    """Enters one field, and what is below it, into `found`."""
    if old is new or (old is not _NOTHING and new is not _NOTHING and old == new):
        return
    apart = comes_apart(shape, old) or comes_apart(shape, new)
    if apart and all(value is _NOTHING or comes_apart(shape, value) for value in (old, new)):
        inner = Changes({}, {}, {})
        _compare_parts(shape, old, new, inner)
        _put(found.added, step, node_of(old is _NOTHING, inner.added))
        _put(found.modified, step, node_of(False, inner.modified))
        _put(found.removed, step, node_of(new is _NOTHING, inner.removed))
    elif old is _NOTHING:
        found.added[step] = {}
    elif new is _NOTHING:
        found.removed[step] = {}
    else:
        found.modified[step] = {}


def _compare_parts(shape: Shape, old: Any, new: Any, found: Changes) -> None:
    if shape.is_list:
        before = {} if old is _NOTHING else shape.steps(old)
        after = {} if new is _NOTHING else shape.steps(new)
        assert shape.item is not None
        for step in before | after:
            one, other = before.get(step, []), after.get(step, [])
            if len(one) > 1 or len(other) > 1:
                _compare(LEAF, one or _NOTHING, other or _NOTHING, step, found)
            else:
                _compare(
                    shape.item, one[0] if one else _NOTHING, other[0] if other else _NOTHING, step, found
                )
        return
    before = {} if old is _NOTHING else old
    after = {} if new is _NOTHING else new
    for name in before | after:
        inner = (shape.fields.get(name, LEAF) if shape.fields is not None else shape.item) or LEAF
        _compare(inner, before.get(name, _NOTHING), after.get(name, _NOTHING), f"f:{name}", found)


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """The live value with what the configuration sets; both are left as they are. Raises Undetermined."""
    if not (comes_apart(shape, live) and comes_apart(shape, config)):
        return config
    if shape.is_list:
        return _merge_list(shape, live, config)
    result = dict(live)
    for name, wanted in config.items():
        inner = (shape.fields.get(name, LEAF) if shape.fields is not None else shape.item) or LEAF
        result[name] = merge(inner, live[name], wanted) if name in live else wanted
    return result


def _merge_list(shape: Shape, live: list[Any], config: list[Any]) -> list[Any]:
    """Items of both come in the configuration's order; what only one side has stays where it is between
    them."""
    assert shape.item is not None
    have, want = shape.steps(live), shape.steps(config)
    left = [(shape.step(item), item) for item in live]
    right = list(want)
    shared = [step for step in right if step in have]
    result: list[Any] = []
    done: set[str] = set()
    while left or right:
        step, item = left[0] if left else ("", None)
        if left and step not in want:
            result.append(item)
            left.pop(0)
        elif left and (step in done or (right and shared and shared[0] != step)):
            left.pop(0)  # it comes where the configuration has it
        else:
            step = right.pop(0)
            former = have.get(step)
            result.append(merge(shape.item, former[0], want[step][0]) if former else want[step][0])
            done.add(step)
            if shared and shared[0] == step:
                shared.pop(0)
    return result


def remove(shape: Shape, value: Any, fields: Fields) -> Any:
    """The value without the members of `fields`; what comes apart and loses all its parts stays, empty."""
    if not fields or not comes_apart(shape, value):
        return value
    if shape.is_list:
        assert shape.item is not None
        kept = []
        for item in value:
            node = fields.get(shape.step(item))
            if node is None:
                kept.append(item)
            elif not is_member(node):
                kept.append(remove(shape.item, item, below(node)))
        return kept
    result = {}
    for name, entry in value.items():
        node = fields.get(f"f:{name}")
        inner = (shape.fields.get(name, LEAF) if shape.fields is not None else shape.item) or LEAF
        if node is None:
            result[name] = entry
        elif not is_member(node):
            result[name] = remove(inner, entry, below(node))
    return result


def with_structs(shape: Shape, fields: Fields) -> Fields:
    """With every struct's field that has members below it as a member itself: a field that was applied goes
    as a whole when all of it goes."""
    result: Fields = {}
    for step, node in fields.items():
        named = shape.fields is not None and step.startswith("f:") and step[2:] in shape.fields
        inner = shape.fields.get(step[2:]) if shape.fields is not None else shape.item
        under = with_structs(inner or LEAF, below(node))
        result[step] = node_of(is_member(node) or named, under) or {}
    return result
