"""A definition's schema, compiled once: what pruning, defaulting and validation walk over.

Source: API reference, apiextensions.k8s.io/v1 JSONSchemaProps; docs, "Specifying a structural schema".
"""

from __future__ import annotations

import math
from typing import Any

from podium.api.types import Obj

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"


class Node:
    """One schema. `additional` is what further properties of a map must be, True where they may be anything.
    `keywords` are the tests of a value beyond its type. Immutable once made."""

    __slots__ = (
        "additional", "all_of", "any_of", "default", "embedded", "format", "has_default", "items", "keywords",
        "list_keys", "list_type", "map_type", "not_", "nullable", "one_of", "pattern", "plain", "preserve",
        "properties", "required", "rules", "type", "types",
    )  # fmt: skip

    def __init__(self, schema: Obj) -> None:
        self.type: str = schema.get("type") or ""
        self.types: tuple[str, ...] = (self.type,) if self.type else ()
        if schema.get(INT_OR_STRING):
            self.types = ("integer", "string")
        self.nullable = bool(schema.get("nullable"))
        self.has_default = schema.get("default") is not None
        self.default: Any = schema.get("default")
        self.preserve = bool(schema.get(PRESERVE))
        self.embedded = bool(schema.get(EMBEDDED))
        self.list_type: str = schema.get(LIST_TYPE) or ""
        self.list_keys: tuple[str, ...] = tuple(schema.get(LIST_KEYS) or ())
        self.map_type: str = schema.get(MAP_TYPE) or ""
        self.format: str = schema.get("format") or ""
        self.pattern = compiled(schema["pattern"]) if schema.get("pattern") else None
        self.required: tuple[str, ...] = tuple(schema.get("required") or ())
        self.properties = {key: Node(each) for key, each in (schema.get("properties") or {}).items()}
        self.additional = _additional(schema.get("additionalProperties"))
        items = schema.get("items")
        self.items = Node(items) if isinstance(items, dict) else None
        self.all_of, self.any_of, self.one_of = (
            tuple(Node(each) for each in schema.get(key) or ()) for key in ("allOf", "anyOf", "oneOf")
        )
        self.not_ = Node(schema["not"]) if isinstance(schema.get("not"), dict) else None
        self.keywords: dict[str, Any] = {key: schema[key] for key in _KEYWORDS if schema.get(key) is not None}
        self.rules: tuple[Obj, ...] = tuple(schema.get(RULES) or ())
        # What a value has to be, and nothing else: None where there is more to be judged.
        self.plain = _PLAIN.get(self.type) if not self._asks_more() else None

    def _asks_more(self) -> bool:
        combined = self.all_of or self.any_of or self.one_of or self.not_
        return bool(self.keywords or self.pattern or self.format or combined)


_PLAIN: dict[str, type] = {"boolean": bool, "integer": int, "string": str}
_KEYWORDS = (
    "enum", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength",
    "maxItems", "minItems", "maxProperties", "minProperties", "multipleOf", "uniqueItems",
)  # fmt: skip


def _additional(given: Any) -> Node | bool:
    if isinstance(given, dict):
        return Node(given)
    return bool(given)


def compiled(pattern: str) -> Any:
    """The expression in RE2, which is what upstream's Go has too, and which takes linear time whatever it is
    given. Raises ValueError."""
    # A server without patterns does not pay for it.
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        raise ValueError(text.decode() if isinstance(text, bytes) else str(text)) from None


def type_name(value: Any) -> str:
    """What JSON schema calls the type of a JSON value; a number without fraction is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if math.isfinite(value) and value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
