"""How large a value can be by its schema: what the cost of an expression is estimated with.

Source: docs, "Resource use of validation rules"; KEP-2876. A request of 3 MiB is what everything without a
limit of its own is held to; strings count four bytes for each character of a maxLength.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from podium.api.cel.values import escape
from podium.api.types import Obj

REQUEST = 3 * 1024 * 1024
# Bytes of the shortest JSON of each scalar.
_LEAST = {"bool": 4, "int": 1, "double": 1, "string": 2, "bytes": 2, "duration": 3}
_MOMENTS = {"date": (12, 12), "date-time": (21, 32)}


@dataclass(frozen=True)
class Shape:
    """A type with its bounds: `most` elements or characters, `least` bytes of JSON. `kind` is "string",
    "bytes", "int", "double", "bool", "timestamp", "duration", "list", "map", "object", "dyn" or the name of
    one of Kubernetes' own types."""

    kind: str
    most: int | None = None
    least: int = 2
    item: Shape | None = None
    key: Shape | None = None
    fields: dict[str, Shape] = field(default_factory=dict)


DYN = Shape("dyn")
STRING = Shape("string")


def shape(schema: Obj, root: bool = False) -> Shape | None:
    """None for what no expression can see. `root` is a resource, whose own fields every expression sees."""
    if schema.get("x-kubernetes-int-or-string"):
        return Shape("dyn", _characters(schema), 1)
    if root:
        schema = _resource(schema)
    match schema.get("type"):
        case "array":
            return _array(schema)
        case "object":
            return _object(schema)
        case "string":
            return _string(schema)
        case "boolean":
            return Shape("bool", 0, _LEAST["bool"])
        case "number":
            return Shape("double", 0, _LEAST["double"])
        case "integer":
            return Shape("int", 0, _LEAST["int"])
    return None


def cardinality(least: int) -> int:
    """How often a value of `least` bytes may occur in a request."""
    return REQUEST // (least + 1)


def _resource(schema: Obj) -> Obj:
    text = {"type": "string"}
    meta = {"type": "object", "properties": {"name": text, "generateName": text}}
    own = {"kind": text, "apiVersion": text, "metadata": meta}
    return {**schema, "properties": {**(schema.get("properties") or {}), **own}}


def _array(schema: Obj) -> Shape | None:
    items = schema.get("items")
    item = (
        shape(items, bool(items.get("x-kubernetes-embedded-resource"))) if isinstance(items, dict) else None
    )
    if item is None:
        return None
    most = schema.get("maxItems")
    return Shape("list", (REQUEST - 2) // (item.least + 1) if most is None else max(most, 0), 2, item)


def _object(schema: Obj) -> Shape | None:
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        item = shape(more, bool(more.get("x-kubernetes-embedded-resource")))
        if item is None:
            return None
        most = schema.get("maxProperties")
        most = (REQUEST - 2) // (item.least + 6) if most is None else max(most, 0)
        return Shape("map", most, 2, item, STRING)
    fields: dict[str, Shape] = {}
    least = 2
    required = set(schema.get("required") or ())
    for name, below in (schema.get("properties") or {}).items():
        inner = shape(below, bool(below.get("x-kubernetes-embedded-resource")))
        if inner is None:
            continue
        if (escaped := escape(name)) is not None:
            fields[escaped] = inner
        if name in required and below.get("default") is None:
            least += len(name) + inner.least + 4
    return Shape("object", 0, least, fields=fields)


def _string(schema: Obj) -> Shape:
    match schema.get("format"):
        case "byte":
            most = schema.get("maxLength")
            return Shape("bytes", REQUEST - 2 if most is None else max(most, 0), 2)
        case "duration":
            return Shape("duration", 32, _LEAST["duration"])
        case "date" | "date-time" as moment:
            least, most = _MOMENTS[moment]
            return Shape("timestamp", most, least)
    if schema.get("maxLength") is None and schema.get("enum"):
        longest = max((len(each) for each in schema["enum"] if isinstance(each, str)), default=0)
        return Shape("string", longest, _LEAST["string"])
    return Shape("string", _characters(schema), _LEAST["string"])


def _characters(schema: Obj) -> int:
    most = schema.get("maxLength")
    return REQUEST - 2 if most is None else max(most, 0) * 4
