"""Whether a definition's schema is one that can be served: structural, and within what OpenAPI allows here.

Source: docs, "Specifying a structural schema"; API reference, JSONSchemaProps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from podium.api.ask import copied
from podium.api.extensions import checking, expressions, fitting
from podium.api.extensions.nodes import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    RULES,
    Node,
    compiled,
)
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

TYPES = ("array", "boolean", "integer", "number", "object", "string")
UNSUPPORTED = ("additionalItems", "patternProperties", "definitions", "dependencies", "id", "$ref", "$schema")
COMBINED = ("allOf", "anyOf", "oneOf")
# What belongs to the structure, and has no place below allOf, anyOf, oneOf and not.
STRUCTURE = (
    "description", "type", "default", "additionalProperties", "nullable", PRESERVE, EMBEDDED, INT_OR_STRING,
    LIST_TYPE, LIST_KEYS, MAP_TYPE, RULES,
)  # fmt: skip
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
# Deeper schemas have no use, and each level costs.
DEEPEST = 64

ROOT, FIELD, ITEM = "root", "field", "item"
_EMPTY = {
    ROOT: "must not be empty at the root",
    ITEM: "must not be empty for specified array items",
    FIELD: "must not be empty for specified object fields",
}


def check_schema(schema: Obj, path: str) -> list[Cause]:
    """Every fault; defaults are checked once there is no other, and the expressions of rules at last."""
    found = list(dict.fromkeys(_node(schema, path, ROOT, 0)))
    if schema.get("nullable"):
        found.append(causes.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    return found or list(_defaults(schema, Node(schema), path)) or expressions.check_rules(schema, path)


def _node(schema: Obj, path: str, level: str, depth: int) -> Iterator[Cause]:
    if depth > DEEPEST:
        yield causes.forbidden(path, f"must not be nested deeper than {DEEPEST} levels")
        return
    yield from _structure(schema, path, level)
    yield from _plain(schema, path)
    yield from _lists(schema, path)
    yield from check_rules(schema, path)
    if level == ROOT or schema.get(EMBEDDED):
        yield from _meta(schema, path, level)
    for key, each in (schema.get("properties") or {}).items():
        yield from _node(each, f"{path}.properties[{key}]", FIELD, depth + 1)
    if isinstance(items := schema.get("items"), dict):
        yield from _node(items, f"{path}.items", ITEM, depth + 1)
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from _node(more, f"{path}.additionalProperties", FIELD, depth + 1)
    yield from _combined(schema, path, depth)


def _structure(schema: Obj, path: str, level: str) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    if not kind and schema.get(EMBEDDED):
        yield causes.required(f"{path}.type", "must be object if x-kubernetes-embedded-resource is true")
    elif not kind and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        yield causes.required(f"{path}.type", _EMPTY[level])
    elif kind and kind != "object" and level == ROOT:
        yield causes.invalid(f"{path}.type", kind, "must be object at the root")
    elif kind != "object" and schema.get(EMBEDDED):
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield causes.invalid(f"{path}.type", kind, detail)
    if kind == "array" and schema.get("items") is None:
        yield causes.required(f"{path}.items", "must be specified")
    if kind and schema.get(INT_OR_STRING):
        detail = "must be empty if x-kubernetes-int-or-string is true"
        yield causes.invalid(f"{path}.type", kind, detail)
    more = schema.get("additionalProperties")
    if more is not None and level == ROOT:
        yield causes.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if more is not None and schema.get(EMBEDDED):
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield causes.forbidden(f"{path}.additionalProperties", detail)
    if more is not None and schema.get("properties"):
        detail = "additionalProperties and properties are mutual exclusive"
        yield causes.forbidden(f"{path}.additionalProperties", detail)
    if schema.get(EMBEDDED) and not schema.get(PRESERVE) and not schema.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields"
        )
        yield causes.required(f"{path}.properties", detail)
    if schema.get(PRESERVE) is False:
        yield causes.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")


def _plain(schema: Obj, path: str) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    if kind == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        yield causes.forbidden(f"{path}.type", detail)
    elif kind and kind not in TYPES:
        yield causes.not_supported(f"{path}.type", kind, TYPES)
    for key in UNSUPPORTED:
        if schema.get(key):
            yield causes.forbidden(f"{path}.{key}", f"{key} is not supported")
    if isinstance(schema.get("items"), list):
        yield causes.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield causes.forbidden(f"{path}.uniqueItems", detail)
    if pattern := schema.get("pattern"):
        try:
            compiled(pattern)
        except ValueError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield causes.invalid(f"{path}.pattern", pattern, detail)


def _lists(schema: Obj, path: str) -> Iterator[Cause]:
    kind, list_type, keys = schema.get("type") or "", schema.get(LIST_TYPE), schema.get(LIST_KEYS) or ()
    map_type = schema.get(MAP_TYPE)
    if map_type and map_type not in ("atomic", "granular"):
        yield causes.not_supported(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular"))
    if map_type and kind != "object":
        yield _typed(path, kind, "must be object if x-kubernetes-map-type is specified")
    if list_type and kind != "array":
        yield _typed(path, kind, "must be array if x-kubernetes-list-type is specified")
    if list_type and list_type not in ("atomic", "set", "map"):
        yield causes.not_supported(f"{path}.{LIST_TYPE}", list_type, ("atomic", "set", "map"))
    if keys and list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield (
            causes.invalid(f"{path}.{LIST_TYPE}", list_type, detail)
            if list_type
            else causes.required(f"{path}.{LIST_TYPE}", detail)
        )
    items = schema.get("items")
    if list_type in ("set", "map") and isinstance(items, dict) and items.get("nullable"):
        detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        yield causes.forbidden(f"{path}.items.nullable", detail)
    if list_type == "map":
        yield from _map_keys(schema, items, list(keys), path)


def _typed(path: str, kind: str, detail: str) -> Cause:
    return causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail)


def _map_keys(schema: Obj, items: Any, keys: list[str], path: str) -> Iterator[Cause]:
    if not keys:
        yield causes.required(f"{path}.{LIST_KEYS}", "must not be empty if x-kubernetes-list-type is map")
    if not isinstance(items, dict):
        yield causes.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        yield causes.invalid(f"{path}.items.type", items.get("type", ""), detail)
    if len(set(keys)) < len(keys):
        yield causes.invalid(f"{path}.{LIST_KEYS}", keys, "must not contain duplicate entries")
    properties = items.get("properties") or {}
    for key in keys:
        at = f"{path}.items.properties[{key}]"
        child = properties.get(key)
        if child is None:
            yield causes.invalid(f"{path}.{LIST_KEYS}", keys, "entries must all be names of item properties")
            continue
        if child.get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield causes.invalid(f"{at}.type", child["type"], detail)
        if child.get("default") is None and key not in (items.get("required") or ()):
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
                "required property"
            )
            yield causes.required(f"{at}.default", detail)
        if child.get("nullable"):
            detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield causes.forbidden(f"{at}.nullable", detail)


def check_rules(schema: Obj, path: str) -> Iterator[Cause]:
    """What is wrong with the rules beyond their expressions."""
    for index, rule in enumerate(schema.get(RULES) or ()):
        at = f"{path}.{RULES}[{index}]"
        text, message = rule.get("rule") or "", rule.get("message")
        if not text.strip():
            yield causes.required(f"{at}.rule", "rule is not specified")
        if message is not None and not message.strip():
            yield causes.invalid(f"{at}.message", message, "must be non-empty if specified")
        elif message and "\n" in message:
            yield causes.invalid(f"{at}.message", message, "must not contain line breaks")
        elif "\n" in text.strip() and not message:
            detail = "message must be specified if rule contains line breaks"
            yield causes.required(f"{at}.message", detail)
        if rule.get("messageExpression") is not None and not rule["messageExpression"].strip():
            yield causes.required(
                f"{at}.messageExpression", "messageExpression must be non-empty if specified"
            )
        if rule.get("reason") and rule["reason"] not in REASONS:
            yield causes.not_supported(f"{at}.reason", rule["reason"], REASONS)
        place = rule.get("fieldPath")
        if place is not None and not place.strip():
            yield causes.invalid(f"{at}.fieldPath", place, "must be non-empty if specified")
        elif place and ("\n" in place or "\r" in place):
            yield causes.invalid(f"{at}.fieldPath", place, "must not contain line breaks")
        elif place and not expressions.path_is_valid(schema, place):
            yield causes.invalid(f"{at}.fieldPath", place, "must be a valid path")


def _meta(schema: Obj, path: str, level: str) -> Iterator[Cause]:
    properties = schema.get("properties") or {}
    for key in ("kind", "apiVersion"):
        if key in properties and properties[key].get("type") != "string":
            at = f"{path}.properties[{key}].type"
            yield causes.invalid(at, properties[key].get("type", ""), "must be string")
    meta = properties.get("metadata")
    if meta is None:
        return
    at = f"{path}.properties[metadata]"
    if meta.get("type") != "object":
        yield causes.invalid(f"{at}.type", meta.get("type", ""), "must be object")
    told = meta.keys() - {"type", "description", "properties", "default"}
    if level == ROOT and (told or (meta.get("properties") or {}).keys() - {"name", "generateName"}):
        detail = (
            "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )
        yield causes.forbidden(at, detail)


def _combined(schema: Obj, path: str, depth: int) -> Iterator[Cause]:
    places = [
        (each, f"{path}.{key}[{index}]")
        for key in COMBINED
        for index, each in enumerate(schema.get(key) or ())
    ]
    if isinstance(schema.get("not"), dict):
        places.append((schema["not"], f"{path}.not"))
    for each, at in places:
        yield from _value_only(each, schema, at, depth + 1)


def _value_only(each: Obj, structure: Obj, path: str, depth: int) -> Iterator[Cause]:
    """A schema below a junctor may only say what values are valid, of what the structure has too."""
    if depth > DEEPEST:
        yield causes.forbidden(path, f"must not be nested deeper than {DEEPEST} levels")
        return
    for key in STRUCTURE:
        if not each.get(key) or (structure.get(INT_OR_STRING) and key == "type"):
            continue
        yield causes.forbidden(f"{path}.{key}", "must be empty to be structural")
    yield from (cause for cause in _plain(each, path))
    have = structure.get("properties") or {}
    for key, child in (each.get("properties") or {}).items():
        at = f"{path}.properties[{key}]"
        if key in have:
            yield from _value_only(child, have[key], at, depth + 1)
        elif not isinstance(structure.get("additionalProperties"), dict):
            where = path.partition(".openAPIV3Schema")[0] + ".openAPIV3Schema"
            yield causes.required(f"{where}.properties[{key}]", f"because it is defined in {at}")
    if isinstance(each.get("items"), dict):
        if isinstance(structure.get("items"), dict):
            yield from _value_only(each["items"], structure["items"], f"{path}.items", depth + 1)
        else:
            yield causes.required(f"{path}.items", f"because it is defined in {path}.items")
    yield from _combined(each | {"properties": have} if have else each, path, depth)


def _defaults(schema: Obj, node: Node, path: str) -> Iterator[Cause]:
    """A default has to be what its schema asks for, and nothing that would be pruned."""
    if node.has_default:
        yield from _default(node, f"{path}.default")
    for key, each in (schema.get("properties") or {}).items():
        yield from _defaults(each, node.properties[key], f"{path}.properties[{key}]")
    if node.items is not None:
        yield from _defaults(schema["items"], node.items, f"{path}.items")
    if isinstance(node.additional, Node):
        yield from _defaults(schema["additionalProperties"], node.additional, f"{path}.additionalProperties")


def _default(node: Node, path: str) -> Iterator[Cause]:
    from podium.api.schema.walk import FREE_OBJECT

    value = copied(node.default)
    unknown: list[Any] = []
    fitting.Pruner(FREE_OBJECT).prune(value, node, None, unknown)
    if unknown:
        yield causes.invalid(path, node.default, "must not have unknown fields")
    fitting.default(value, node)
    yield from checking.check(value, node, path)
