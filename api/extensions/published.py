"""What the OpenAPI documents say about custom kinds.

Source: docs, "Publish Validation Schema in OpenAPI": in v2, what its clients cannot cope with is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from podium.api.extensions.nodes import EMBEDDED, PRESERVE
from podium.api.schema.openapi.documents import Added
from podium.api.types import Obj
from podium.api.types.resources import Resource

_META = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1."
_VERSION_TEXT = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
    "recognized schemas to the latest internal value, and may reject unrecognized values."
)
_KIND_TEXT = "Kind is a string value representing the REST resource this object represents. In CamelCase."
_TYPE: Obj = {
    "apiVersion": {"type": "string", "description": _VERSION_TEXT},
    "kind": {"type": "string", "description": _KIND_TEXT},
}
_OBJECT_META: Obj = {"$ref": f"{_META}ObjectMeta", "description": "Standard object's metadata."}
_LIST_META: Obj = {"$ref": f"{_META}ListMeta", "description": "Standard list metadata."}
_COMBINED = ("allOf", "anyOf", "oneOf", "not")


def published(definition: Obj, resources: Iterable[Resource]) -> Added:
    """The definitions of the kinds and of their lists."""
    versions = {entry["name"]: entry for entry in definition["spec"]["versions"]}
    full: dict[str, Obj] = {}
    plain: dict[str, Obj] = {}
    listed = list(resources)
    for resource in listed:
        schema = (versions[resource.version].get("schema") or {}).get("openAPIV3Schema")
        name = definition_name(resource.group, resource.version, resource.kind)
        marks = _marks(resource, resource.kind, versions[resource.version])
        full[name] = _whole(schema) | marks
        flat = for_v2(schema) if schema and not schema.get(PRESERVE) else None
        plain[name] = _whole(flat, v2=True) | marks
        full[f"{name}List"] = _list(resource, name) | _marks(
            resource, resource.list_kind_name, versions[resource.version]
        )
    return Added(listed, full, plain)


def definition_name(group: str, version: str, kind: str) -> str:
    return f"{'.'.join(reversed(group.split('.')))}.{version}.{kind}"


def _marks(resource: Resource, kind: str, version: Obj) -> Obj:
    named = {"group": resource.group, "version": resource.version, "kind": kind}
    marks: Obj = {"x-kubernetes-group-version-kind": [named]}
    if fields := version.get("selectableFields"):
        paths = [{"fieldPath": entry["jsonPath"].removeprefix(".")} for entry in fields]
        marks["x-kubernetes-selectable-fields"] = paths
    return marks


def _whole(schema: Obj | None, *, v2: bool = False) -> Obj:
    if schema is None:
        return {"type": "object"}
    made = _embed(schema, v2)
    properties = {**(made.get("properties") or {}), **_TYPE, "metadata": _OBJECT_META}
    return {**made, "properties": properties}


def _embed(schema: Obj, v2: bool) -> Obj:
    """With the fields that every object has in those that are embedded."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {key: _embed(each, v2) for key, each in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _embed(made[key], v2)
    if made.get(EMBEDDED) and not (v2 and made.get(PRESERVE)):
        made["properties"] = {**(made.get("properties") or {}), **_TYPE, "metadata": _OBJECT_META}
        made["required"] = list(dict.fromkeys([*(made.get("required") or ()), "kind", "apiVersion"]))
    return made


def for_v2(schema: Obj) -> Obj:
    made: dict[str, Any] = {key: value for key, value in schema.items() if key not in _COMBINED}
    if "properties" in made:
        nullable = {key for key, each in made["properties"].items() if each.get("nullable")}
        made["properties"] = {key: for_v2(each) for key, each in made["properties"].items()}
        _require(made, [key for key in made.get("required") or () if key not in nullable])
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = for_v2(made[key])
    if made.pop("nullable", False):
        _drop(made, "type", "items", "properties")
    if made.get(PRESERVE):
        _drop(made, "items", "properties")
        if made.get("type") == "object":
            del made["type"]
    if made.get("type") == "array" and "items" not in made:
        del made["type"]
    return made


def _require(made: dict[str, Any], names: list[str]) -> None:
    if names:
        made["required"] = names
    else:
        made.pop("required", None)


def _drop(made: dict[str, Any], *keys: str) -> None:
    for key in keys:
        made.pop(key, None)


def _list(resource: Resource, name: str) -> Obj:
    items = {
        "type": "array",
        "items": {"$ref": f"#/$defs/{name}"},
        "description": f"List of {resource.plural}.",
    }
    return {
        "type": "object",
        "description": f"{resource.list_kind_name} is a list of {resource.kind}",
        "required": ["items"],
        "properties": {**_TYPE, "items": items, "metadata": _LIST_META},
    }
