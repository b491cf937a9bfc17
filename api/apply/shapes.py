"""How the values of a kind come apart into fields: what has an owner of its own, what only as a whole.

Structs and maps come apart into their fields, unless they are atomic. Lists are atomic unless the schema says
that they are sets or that their items have keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from podium.api.apply.fields import Fields, Path, shown
from podium.api.schema import walk as walking
from podium.api.schema.walk import Field, Type
from podium.api.types import Obj

# Structs; custom kinds come and go.
REMEMBERED = 10_000
# The keys of list items that may be left out, and what they are then.
DEFAULT_KEYS = {"protocol": "TCP"}


class Undetermined(ValueError):
    """A list item without the keys that tell it from the others."""


class Undeclared(ValueError):
    """Fields that are not in the schema."""

    def __init__(self, paths: Sequence[Path]) -> None:
        texts = [f"{shown(path)}: field not declared in schema" for path in paths]
        super().__init__(texts[0] if len(texts) == 1 else "\n  ".join(["errors:", *texts]))


class Shape:
    """One type, for ownership. `fields` is set for structs, `item` for what is in maps and in lists that
    come apart; with neither, a value is owned as a whole. `keys` name the items of a list."""

    __slots__ = ("fields", "is_list", "item", "keys")

    def __init__(self) -> None:
        self.fields: dict[str, Shape] | None = None
        self.item: Shape | None = None
        self.is_list = False
        self.keys: tuple[str, ...] = ()

    def step(self, item: Any) -> str:
        """The step from a list to one of its items. Raises Undetermined."""
        if not self.keys:
            return f"v:{orjson.dumps(item).decode()}"
        if not isinstance(item, dict):
            raise Undetermined("associative list with keys may not have non-map elements")
        found = {}
        for key in sorted(self.keys):
            value = item.get(key, DEFAULT_KEYS.get(key))
            if value is not None:
                found[key] = value
        if not found:
            raise Undetermined(
                "associative list with keys has an element that omits all key fields "
                f"{list(self.keys)!r} (and doesn't have default values for any key fields)"
            )
        return f"k:{orjson.dumps(found).decode()}"

    def steps(self, items: Sequence[Any]) -> dict[str, list[Any]]:
        """A list's items by step, in order. Raises Undetermined."""
        found: dict[str, list[Any]] = {}
        for item in items:
            found.setdefault(self.step(item), []).append(item)
        return found


LEAF = Shape()
# What has no schema: maps come apart all the way down, lists do not.
UNTYPED = Shape()
UNTYPED.item = UNTYPED


class Shapes:
    """Compiled on demand and kept."""

    def __init__(self) -> None:
        # By identity; a type that is kept here is never another one's successor.
        self._structs: dict[int, tuple[Type, Shape]] = {}

    def of(self, type_: Type) -> Shape:
        """The shape of a struct that is not atomic."""
        kept = self._structs.get(id(type_))
        if kept is None and len(self._structs) > REMEMBERED:
            self._structs.clear()
        return self._struct(type_)

    def _struct(self, type_: Type) -> Shape:
        kept = self._structs.get(id(type_))
        if kept is not None:
            return kept[1]
        shape = Shape()
        self._structs[id(type_)] = type_, shape
        shape.fields = {name: self._field(field) for name, field in type_.fields.items()}
        return shape

    def _field(self, field: Field) -> Shape:
        kind = field.type
        if field.list_type == "atomic" or (kind.atomic and field.list_type != "granular"):
            return LEAF
        if kind.item is kind:
            return UNTYPED
        if kind.fields:
            return self._struct(kind)
        if kind.item is None:
            return LEAF
        if kind.accepts is list and field.list_type not in ("map", "set"):
            return LEAF
        shape = Shape()
        shape.is_list = kind.accepts is list
        shape.item = self._field(Field(kind.item))
        shape.keys = field.list_keys if field.list_type == "map" else ()
        return shape


def fields_of(shape: Shape, obj: Obj) -> Fields:
    """The fields that a configuration sets. Raises Undetermined."""
    return _below(shape, obj)


def _below(shape: Shape, value: Any) -> Fields:
    """What is in a struct, map or list that comes apart."""
    result: Fields = {}
    if shape.is_list:
        assert shape.item is not None
        for step, items in shape.steps(value).items():
            inner = _inner(shape.item, items[-1])
            result[step] = {".": {}, **inner} if inner else {}
        return result
    for name, entry in value.items():
        inner_shape = shape.fields.get(name, LEAF) if shape.fields is not None else shape.item
        assert inner_shape is not None
        inner = _inner(inner_shape, entry)
        if shape.fields is None:
            result[f"f:{name}"] = {".": {}, **inner} if inner else {}
        elif inner or _is_leaf(inner_shape, entry):
            result[f"f:{name}"] = inner
    return result


def path_of(shape: Shape, value: Any, path: walking.Path) -> Path:
    """A path of the walk over a schema's types, as one of owned fields."""
    found: list[str] = []
    for step in walking.steps(path):
        inner: Shape | None = LEAF
        if not isinstance(step, int):
            found.append(f"f:{step}")
            inner = shape.fields.get(step) if shape.fields is not None else shape.item
        elif shape.is_list and shape.keys:
            found.append(shape.step(value[step]))
            inner = shape.item
        else:
            found.append(f"i:{step}")
        value = value[step] if isinstance(step, int) or step in value else None
        shape = inner or LEAF
    return tuple(found)


def check_unique(shape: Shape, value: Any, path: Path = ()) -> None:
    """Raises Undetermined where a list that comes apart has an item twice."""
    if not comes_apart(shape, value):
        return
    if not shape.is_list:
        for name, entry in value.items():
            inner = shape.fields.get(name, LEAF) if shape.fields is not None else shape.item
            check_unique(inner or LEAF, entry, (*path, f"f:{name}"))
        return
    for step, items in shape.steps(value).items():
        if len(items) > 1:
            raise Undetermined(f"{shown(path)}: duplicate entries for key {shown((step,))}")
        check_unique(shape.item or LEAF, items[0], (*path, step))


def comes_apart(shape: Shape, value: Any) -> bool:
    """Whether the value's parts have owners of their own."""
    if shape.is_list:
        return isinstance(value, list)
    return (shape.fields is not None or shape.item is not None) and isinstance(value, dict)


def _is_leaf(shape: Shape, value: Any) -> bool:
    """Whether a value without members below it is one itself: an empty list that comes apart is not."""
    return not (comes_apart(shape, value) and shape.is_list)


def _inner(shape: Shape, value: Any) -> Fields:
    return _below(shape, value) if comes_apart(shape, value) else {}
