"""The published definitions of every built-in kind, and the types compiled from them on demand.

Source: `_definitions.json` of the package kubernetes-validate, one folder per Kubernetes version: JSON
schema, references under `#/$defs/`, optional fields marked by a type of `[X, "null"]`, apiVersion and kind
narrowed to enums.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import orjson

from podium.api.schema import walk
from podium.api.schema.protobuf import ProtobufReader
from podium.api.schema.schema import Schema
from podium.api.schema.walk import Field, Type
from podium.api.types import Obj

VERSION = "v1.36.0"
_META = "io.k8s.apimachinery.pkg."
_APIEXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_REFERENCE = len("#/$defs/")

SPECIAL: dict[str, Type] = {
    f"{_META}api.resource.Quantity": walk.QUANTITY,
    f"{_META}util.intstr.IntOrString": walk.INT_OR_STRING,
    f"{_META}apis.meta.v1.Time": walk.TIME,
    f"{_META}apis.meta.v1.MicroTime": walk.MICRO_TIME,
    f"{_META}apis.meta.v1.FieldsV1": walk.FREE_OBJECT,
    f"{_META}apis.meta.v1.Patch": walk.FREE_OBJECT,
    f"{_META}runtime.RawExtension": walk.FREE_OBJECT,
    f"{_APIEXTENSIONS}JSON": walk.ANY,
}


def read(version: str = VERSION) -> bytes:
    """The file as it is, 1.6 MB. The package is found and not imported: its own validator takes 60 ms and
    some megabytes. Raises ModuleNotFoundError."""
    found = importlib.util.find_spec("kubernetes_validate")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("kubernetes_validate", name="kubernetes_validate")
    folder = Path(found.origin).parent / "kubernetes-json-schema" / f"{version}-local"
    return (folder / "_definitions.json").read_bytes()


class Definitions:
    """All kinds of one Kubernetes version. Keeps the definitions without their descriptions; compiles each
    kind at its first use and keeps that. Servers in several threads of one process share them."""

    def __init__(self, definitions: dict[str, Obj], version: str = VERSION) -> None:
        self.version = version
        self._definitions = definitions
        self._types: dict[str, Type] = dict(SPECIAL)
        self._schemas: dict[tuple[str, str, str], Schema] = {}
        self._names = _names(definitions)
        # A type that refers to itself is there before it is whole.
        self._compiling = threading.RLock()

    @classmethod
    @lru_cache(maxsize=4)
    def load(cls, version: str = VERSION) -> Definitions:
        """Reads the file (15 ms); once per process and version."""
        definitions: dict[str, Obj] = orjson.loads(read(version))["$defs"]
        for definition in definitions.values():
            _shed(definition)
        return cls(definitions, version)

    @cached_property
    def protobuf(self) -> ProtobufReader:
        """Decodes request bodies in protobuf."""
        return ProtobufReader(self._definitions, self._names)

    def kinds(self) -> list[tuple[str, str, str]]:
        """(group, version, kind) of everything there is."""
        return list(self._names)

    def has(self, group: str, version: str, kind: str) -> bool:
        return (group, version, kind) in self._names

    def schema(self, group: str, version: str, kind: str) -> Schema:
        """The schema of a kind. Raises KeyError for a kind that is not there."""
        key = (group, version, kind)
        found = self._schemas.get(key)
        if found is None:
            found = Schema(group, version, kind, self.type_of(self._names[key]))
            found = self._schemas.setdefault(key, found)
        return found

    def type_of(self, name: str) -> Type:
        """The compiled type of a definition, `io.k8s.api.core.v1.PodSpec`."""
        with self._compiling:
            return self._type_of(name)

    def _type_of(self, name: str) -> Type:
        found = self._types.get(name)
        if found is None:
            definition = self._definitions[name]
            if _kind_of(definition) != "object":
                found = self._types[name] = walk.ANY
            else:
                found = self._types[name] = walk.struct(name, ".".join(name.split(".")[-2:]))
                found.atomic = definition.get("x-kubernetes-map-type") == "atomic"
                walk.close_struct(found, self._fields(definition))
        return found

    def _fields(self, definition: Obj) -> dict[str, Field]:
        required = frozenset(definition.get("required") or ())
        return {
            name: self._field(prop, name in required)
            for name, prop in (definition.get("properties") or {}).items()
        }

    def _field(self, prop: Obj, required: bool) -> Field:
        strategy = prop.get("x-kubernetes-patch-strategy", "")
        return Field(
            self._compile(prop),
            required,
            frozenset(strategy.split(",")) if strategy else frozenset(),
            prop.get("x-kubernetes-patch-merge-key", ""),
            str(prop.get("x-kubernetes-list-type") or prop.get("x-kubernetes-map-type") or ""),
            tuple(prop.get("x-kubernetes-list-map-keys", ())),
        )

    def _compile(self, prop: Obj) -> Type:
        if "$ref" in prop:
            return self._type_of(prop["$ref"][_REFERENCE:])
        match _kind_of(prop):
            case "array":
                return walk.list_of(self._compile(prop["items"]))
            case "object" if "additionalProperties" in prop:
                return walk.map_of(self._compile(prop["additionalProperties"]))
            case "object":
                return walk.FREE_OBJECT
            case "string":
                return walk.BYTES if prop.get("format") == "byte" else walk.STRING
            case "boolean":
                return walk.BOOL
            case "integer":
                return walk.INT32 if prop.get("format") == "int32" else walk.INT64
            case "number":
                return walk.FLOAT
        return walk.ANY


def _kind_of(prop: Obj) -> str:
    kind = prop.get("type", "")
    return str(kind[0]) if isinstance(kind, list) else str(kind)


def _names(definitions: dict[str, Obj]) -> dict[tuple[str, str, str], str]:
    names: dict[tuple[str, str, str], str] = {}
    for name, definition in definitions.items():
        for entry in definition.get("x-kubernetes-group-version-kind") or ():
            names[(entry["group"], entry["version"], entry["kind"])] = name
    return names


def _shed(node: Any) -> None:
    """Drops the descriptions, two thirds of the memory, which only the OpenAPI documents need."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            del node["description"]
        for child in node.values():
            _shed(child)
