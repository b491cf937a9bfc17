"""What is in the documents: paths with their operations, and the definitions they reach.

Source: the OpenAPI 2.0 and 3.0 specifications; the documents that the API server publishes (references under
`#/definitions/` in v2 and `#/components/schemas/` in v3, where a reference with neighbours is wrapped in
`allOf`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from podium.api.schema.openapi.operations import Kind, Operation, operations
from podium.api.schema.openapi.parameters import PRETTY, Parameter
from podium.api.types import Obj
from podium.api.types.resources import Resource

_META = "io.k8s.apimachinery.pkg."
JSON = "application/json"
_SECURITY = {
    "BearerToken": {"description": "Bearer token", "in": "header", "name": "authorization", "type": "apiKey"}
}


class Builder:
    """What both versions share: the paths, and the definitions that they reach."""

    prefix = ""

    def __init__(self, raw: dict[str, Obj], version: str) -> None:
        self.raw = raw
        self.version = version
        self.reached: dict[str, Obj] = {}
        self.names: dict[Kind, str] = {}
        for name, definition in raw.items():
            for entry in definition.get("x-kubernetes-group-version-kind") or ():
                self.names[Kind(entry["group"], entry["version"], entry["kind"])] = name

    def document(self, resources: Iterable[Resource]) -> Obj:
        raise NotImplementedError

    def paths(self, resources: Iterable[Resource]) -> Obj:
        paths: dict[str, Obj] = {}
        for resource in resources:
            for operation in operations(resource):
                item = paths.setdefault(operation.path, self._item(operation))
                item[operation.method] = self._common(operation) | self.operation(operation)
        return dict(sorted(paths.items()))

    def _item(self, operation: Operation) -> Obj:
        return {"parameters": [self.parameter(entry) for entry in (*operation.path_parameters, PRETTY)]}

    def _common(self, operation: Operation) -> Obj:
        group = operation.path.split("/")
        tag = (
            "core_v1"
            if group[1] == "api"
            else f"{group[2].removesuffix('.k8s.io').replace('.', '')}_{group[3]}"
        )
        made: Obj = {
            "description": operation.description,
            "operationId": operation.id,
            "tags": [tag],
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": operation.kind._asdict(),
        }
        if operation.parameters:
            made["parameters"] = [self.parameter(entry) for entry in operation.parameters]
        return made

    def operation(self, operation: Operation) -> Obj:
        raise NotImplementedError

    def parameter(self, parameter: Parameter) -> Obj:
        raise NotImplementedError

    def codes(self, operation: Operation) -> list[tuple[str, str]]:
        codes = [("200", "OK")]
        if operation.created:
            codes.append(("201", "Created"))
        if operation.action in ("post", "delete"):
            codes.append(("202", "Accepted"))
        return codes

    def reference(self, kind: Kind) -> Obj:
        return self.reference_to(self.names[kind])

    def reference_to(self, name: str) -> Obj:
        if name not in self.reached:
            # Entered before it is converted, so that a definition may contain itself.
            self.reached[name] = {}
            self.reached[name] = self.convert(self.raw[name], name)
        return {"$ref": f"{self.prefix}{name}"}

    def convert(self, node: Obj, name: str = "") -> Obj:
        """A schema in the document's form: without the nulls and enums that only the package's validator
        needs."""
        if name in self.special:
            return (
                {"description": node["description"], **self.special[name]}
                if "description" in node
                else self.special[name]
            )
        result: Obj = {}
        for key, value in node.items():
            if key == "$ref":
                result |= self.wrapped(self.reference_to(value.rpartition("/")[2]), node)
            elif key == "properties":
                result[key] = {
                    prop: self.convert(self._plain(prop, entry) if name else entry)
                    for prop, entry in value.items()
                }
            elif key in ("items", "additionalProperties") and isinstance(value, dict):
                result[key] = self.convert(value)
            elif key == "type" and isinstance(value, list):
                result[key] = value[0]
            else:
                result[key] = value
        return result

    special: ClassVar[dict[str, Obj]] = {}

    @staticmethod
    def _plain(prop: str, entry: Obj) -> Obj:
        if prop in ("apiVersion", "kind") and "enum" in entry:
            return {key: value for key, value in entry.items() if key != "enum"}
        return entry

    def wrapped(self, reference: Obj, node: Obj) -> Obj:
        return reference


class V3(Builder):
    prefix = "#/components/schemas/"
    special: ClassVar[dict[str, Obj]] = {
        f"{_META}util.intstr.IntOrString": {
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        },
        f"{_META}api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    }

    def document(self, resources: Iterable[Resource]) -> Obj:
        paths = self.paths(resources)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": self.version},
            "paths": paths,
            "components": {"schemas": dict(sorted(self.reached.items())), "securitySchemes": _SECURITY},
            "security": [{"BearerToken": []}],
        }

    def wrapped(self, reference: Obj, node: Obj) -> Obj:
        return reference if len(node) == 1 else {"allOf": [reference]}

    def parameter(self, parameter: Parameter) -> Obj:
        schema: Obj = {"type": parameter.type}
        if parameter.type == "array":
            schema["items"] = {"type": "string"}
        made: Obj = {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "schema": schema,
        }
        return made | ({"required": True} if parameter.place == "path" else {})

    def operation(self, operation: Operation) -> Obj:
        made: Obj = {"responses": self._responses(operation)}
        if operation.action == "patch":
            patch = self.reference_to(f"{_META}apis.meta.v1.Patch")
            made["requestBody"] = {
                "required": True,
                "content": {kind: {"schema": patch} for kind in operation.patches},
            }
        elif operation.body is not None:
            content = {"schema": self.reference(operation.body)}
            required = {} if operation.method == "delete" else {"required": True}
            made["requestBody"] = {"content": {JSON: content, "application/yaml": content}} | required
        return made

    def _responses(self, operation: Operation) -> Obj:
        if operation.answer is None:
            text = {"content": {"*/*": {"schema": {"type": "string"}}}}
            return {"200": {"description": "OK"} | text, "401": {"description": "Unauthorized"}}
        content = {JSON: {"schema": self.reference(operation.answer)}}
        if operation.action == "list":
            content[f"{JSON};stream=watch"] = content[JSON]
        responses: Obj = {
            code: {"description": text, "content": content} for code, text in self.codes(operation)
        }
        return responses | {"401": {"description": "Unauthorized"}}


class V2(Builder):
    prefix = "#/definitions/"
    special: ClassVar[dict[str, Obj]] = {
        f"{_META}util.intstr.IntOrString": {"format": "int-or-string", "type": "string"},
        f"{_META}api.resource.Quantity": {"type": "string"},
    }

    def document(self, resources: Iterable[Resource]) -> Obj:
        paths = self.paths(resources)
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": self.version},
            "paths": paths,
            "definitions": dict(sorted(self.reached.items())),
            "securityDefinitions": _SECURITY,
            "security": [{"BearerToken": []}],
        }

    def parameter(self, parameter: Parameter) -> Obj:
        made: Obj = {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "type": parameter.type,
        }
        if parameter.type == "array":
            made |= {"items": {"type": "string"}, "collectionFormat": "multi"}
        return made | ({"required": True} if parameter.place == "path" else {})

    def operation(self, operation: Operation) -> Obj:
        made: Obj = {"produces": [JSON], "schemes": ["https"], "consumes": [JSON, "application/yaml"]}
        body: Obj | None = self.reference(operation.body) if operation.body else None
        if operation.action == "patch":
            made["consumes"] = list(operation.patches)
            body = self.reference_to(f"{_META}apis.meta.v1.Patch")
        schema: Any = self.reference(operation.answer) if operation.answer else {"type": "string"}
        responses = {code: {"description": text, "schema": schema} for code, text in self.codes(operation)}
        made["responses"] = responses | {"401": {"description": "Unauthorized"}}
        parameters = [self.parameter(entry) for entry in operation.parameters]
        if body is not None:
            required = operation.method != "delete"
            parameters.insert(0, {"name": "body", "in": "body", "required": required, "schema": body})
        return made | ({"parameters": parameters} if parameters else {})
