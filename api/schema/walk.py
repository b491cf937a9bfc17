"""Types compiled into functions, so that decoding an object is one walk over it.

A `Walk` takes a value of the right JSON type and returns what is to be stored: the same container, changed in
place, or another scalar. Empty optional lists and maps are left out, as upstream's encoder does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import orjson

from podium.api.schema import scalars
from podium.api.schema.scalars import Mismatch
from podium.api.types import Obj
from podium.api.types.remembering import Weighed

Path: TypeAlias = Any
"""Linked: `(parent path, step)`, None at the top; a step is a field's name, a `MapKey`, or an index. Made for
each container on the way down and rendered only in a message."""

Unknown: TypeAlias = list[Path]
Walk: TypeAlias = Callable[[Any, Path, Unknown], Any]


# Structs that come by again and again with the same values: those of pods that were made from one template.
REPEATED = frozenset({"io.k8s.api.core.v1.PodSpec"})
# Bytes of those that are known to fit, of each struct; longer ones are not worth it.
FITTING, LONGEST = 512 << 10, 16 << 10
# What looks like JSON only when it is written is no JSON.
_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


class MapKey(str):
    """The key of a map, which Go's messages do not count as a field."""

    __slots__ = ()


class Field(NamedTuple):
    """One field of a struct. `strategies` and `merge_key` drive strategic merge patches, `list_type` (atomic,
    set, map) and `list_keys` server-side apply."""

    type: Type
    required: bool = False
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""
    list_type: str = ""
    list_keys: tuple[str, ...] = ()


class Type:
    """One type. `accepts` is the Python type that JSON must give; `walk` (None: nothing to check) takes it
    from there, and `coerce` takes values of any other type or raises Mismatch. Structs have `fields`, lists
    and maps an `item`. An `atomic` struct has one owner in server-side apply, its fields have none."""

    __slots__ = ("accepts", "atomic", "coerce", "fields", "go", "item", "name", "walk", "zero")

    def __init__(
        self,
        go: str,
        accepts: type | None,
        *,
        walk: Walk | None = None,
        coerce: Walk | None = None,
        item: Type | None = None,
        zero: Callable[[], Any] = str,
        name: str = "",
    ) -> None:
        self.go = go
        self.accepts = accepts
        self.walk = walk
        self.coerce = coerce or _refuse(go)
        self.item = item
        self.fields: dict[str, Field] = {}
        self.zero = zero
        self.name = name
        self.atomic = False

    def enter(self, value: Any, path: Path, unknown: Unknown) -> Any:
        """Checks a value whose JSON type is not known yet; None is the zero value."""
        if type(value) is self.accepts:
            return self.walk(value, path, unknown) if self.walk else value
        return self.zero() if value is None else self.coerce(value, path, unknown)


def _refuse(go: str) -> Walk:
    def refuse(value: Any, path: Path, unknown: Unknown) -> Any:
        raise Mismatch(value, go, path)

    return refuse


def _scalar(function: Callable[[Any], Any]) -> Walk:
    """A walk around a function that knows no paths."""

    def walk(value: Any, path: Path, unknown: Unknown) -> Any:
        try:
            return function(value)
        except Mismatch as mismatch:
            mismatch.path = path
            raise

    return walk


def _as_is(value: Any, path: Path, unknown: Unknown) -> Any:
    return value


def _number(value: Any, path: Path, unknown: Unknown) -> Any:
    if type(value) is int:
        return value
    raise Mismatch(value, "float64", path)


ANY = Type("interface {}", None, coerce=_as_is, zero=lambda: None)
STRING = Type("string", str)
BOOL = Type("bool", bool, zero=bool)
INT32 = Type("int32", int, walk=_scalar(scalars.int32), zero=int)
INT64 = Type("int64", int, walk=_scalar(scalars.int64), zero=int)
FLOAT = Type("float64", float, coerce=_number, zero=float)
BYTES = Type("[]uint8", str, walk=_scalar(scalars.base64_bytes))
TIME = Type("string", str, walk=_scalar(scalars.time))
MICRO_TIME = Type("string", str, walk=_scalar(scalars.micro_time))
QUANTITY = Type(
    "resource.Quantity",
    str,
    walk=_scalar(scalars.canonical_quantity),
    coerce=_scalar(scalars.quantity_from_other),
    zero=lambda: "0",
)
INT_OR_STRING = Type("int32", str, coerce=_scalar(scalars.int_or_string_from_other), zero=int)
FREE_OBJECT = Type("map[string]interface {}", dict, zero=dict)


def list_of(item: Type) -> Type:
    """A list; the walk leaves the list itself in place."""
    accepts, enter, lookup = item.accepts, item.enter, item

    def walk(value: list[Any], path: Path, unknown: Unknown) -> Any:
        inner = lookup.walk
        for index, entry in enumerate(value):
            if type(entry) is accepts:
                if inner is not None:
                    new = inner(entry, (path, index), unknown)
                    if new is not entry:
                        value[index] = new
            else:
                value[index] = enter(entry, (path, index), unknown)
        return value

    return Type(f"[]{item.go}", list, walk=walk, item=item, zero=list)


def map_of(item: Type) -> Type:
    """A map from strings."""
    accepts, enter, lookup = item.accepts, item.enter, item

    def walk(value: Obj, path: Path, unknown: Unknown) -> Any:
        inner = lookup.walk
        for key, entry in value.items():
            if type(entry) is accepts:
                if inner is not None:
                    new = inner(entry, (path, MapKey(key)), unknown)
                    if new is not entry:
                        value[key] = new
            else:
                value[key] = enter(entry, (path, MapKey(key)), unknown)
        return value

    go = "v1.ResourceList" if item is QUANTITY else f"map[string]{item.go}"
    return Type(go, dict, walk=walk, item=item, zero=dict)


def struct(name: str, go: str) -> Type:
    """A struct without fields yet: they come with `close_struct`, so that a type may contain itself."""
    return Type(go, dict, zero=dict, name=name)


_Entry: TypeAlias = tuple[type | None, "Walk | None", Walk, bool]


def close_struct(owner: Type, fields: dict[str, Field]) -> None:
    owner.fields = fields
    table: dict[str, _Entry] = {name: _entry(field) for name, field in fields.items()}
    get = table.get

    def walk(value: Obj, path: Path, unknown: Unknown) -> Obj:
        drop: list[str] = []
        for key, entry in value.items():
            found = get(key)
            if found is None:
                unknown.append((path, key))
                drop.append(key)
                continue
            accepts, inner, coerce, droppable = found
            if type(entry) is accepts:
                if inner is not None:
                    if droppable and not entry:
                        drop.append(key)
                        continue
                    new = inner(entry, (path, key), unknown)
                    if new is not entry:
                        value[key] = new
            elif entry is None:
                drop.append(key)
            else:
                value[key] = coerce(entry, (path, key), unknown)
        for key in drop:
            del value[key]
        return value

    owner.walk = _unless_known(walk) if owner.name in REPEATED else walk


def _unless_known(walk: Walk) -> Walk:
    """Goes not again over a value that it has found to be, to the last byte, what is to be stored."""
    fitting: Weighed[bool] = Weighed(FITTING)

    def again(value: Any, path: Path, unknown: Unknown) -> Any:
        try:
            written = orjson.dumps(value, option=_PLAIN)
        except TypeError:
            return walk(value, path, unknown)
        if len(written) > LONGEST:
            return walk(value, path, unknown)
        if fitting.find(written):
            return value
        before = len(unknown)
        found = walk(value, path, unknown)
        if len(unknown) == before and orjson.dumps(found) == written:
            fitting.keep(written, len(written), True)
        return found

    return again


def _entry(field: Field) -> _Entry:
    kind = field.type
    inner = kind.walk
    if inner is None and kind.name:
        # Still open: a struct that contains itself.
        def late(value: Any, path: Path, unknown: Unknown) -> Any:
            assert kind.walk is not None
            return kind.walk(value, path, unknown)

        inner = late
    return kind.accepts, inner, kind.coerce, kind.item is not None and not field.required


def render(path: Path) -> str:
    """`spec.containers[0].image`."""
    text = ""
    for step in steps(path):
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def steps(path: Path) -> list[str | int]:
    found: list[str | int] = []
    while path is not None:
        path, step = path
        found.append(step)
    return found[::-1]
