"""The protobuf form of the v2 document, read back with Google's runtime."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from podium.api.schema.openapi import Documents, gnostic

SERVER = Documents()

# Message: fields as `name number type`, lists with `*`. Of OpenAPIv2.proto, what the document needs.
PROTO = """
Any: yaml 2 string
NamedAny: name 1 string, value 2 Any
Document: swagger 1 string, info 2 Info, paths 8 Paths, definitions 9 Definitions,
 security 12 *SecurityRequirement, security_definitions 13 SecurityDefinitions
Info: title 1 string, version 2 string
Paths: path 2 *NamedPathItem
NamedPathItem: name 1 string, value 2 PathItem
PathItem: get 2 Operation, put 3 Operation, post 4 Operation, delete 5 Operation, patch 8 Operation,
 parameters 9 *ParametersItem
Operation: tags 1 *string, description 3 string, operation_id 5 string, produces 6 *string,
 consumes 7 *string, parameters 8 *ParametersItem, responses 9 Responses, schemes 10 *string,
 vendor_extension 13 *NamedAny
ParametersItem: parameter 1 Parameter, json_reference 2 JsonReference
JsonReference: _ref 1 string
Parameter: body_parameter 1 BodyParameter, non_body_parameter 2 NonBodyParameter
BodyParameter: name 2 string, in 3 string, required 4 bool, schema 5 Schema
NonBodyParameter: header_parameter_sub_schema 1 Primitive, query_parameter_sub_schema 3 QueryParameter,
 path_parameter_sub_schema 4 PathParameter
PathParameter: required 1 bool, in 2 string, description 3 string, name 4 string, type 5 string
QueryParameter: required 1 bool, in 2 string, description 3 string, name 4 string, type 6 string,
 items 8 Primitive, collection_format 9 string, minimum 13 double, max_length 15 int64
Primitive: type 1 string
Responses: response_code 1 *NamedResponseValue
NamedResponseValue: name 1 string, value 2 ResponseValue
ResponseValue: response 1 Response
Response: description 1 string, schema 2 SchemaItem
SchemaItem: schema 1 Schema
Definitions: additional_properties 1 *NamedSchema
NamedSchema: name 1 string, value 2 Schema
Schema: _ref 1 string, format 2 string, description 4 string, default 5 Any, required 19 *string,
 enum 20 *Any, additional_properties 21 AdditionalPropertiesItem, type 22 TypeItem, items 23 ItemsItem,
 properties 25 Properties, vendor_extension 31 *NamedAny
AdditionalPropertiesItem: schema 1 Schema, boolean 2 bool
TypeItem: value 1 *string
ItemsItem: schema 1 *Schema
Properties: additional_properties 1 *NamedSchema
SecurityDefinitions: additional_properties 1 *NamedSecurity
NamedSecurity: name 1 string, value 2 SecurityItem
SecurityItem: api_key_security 2 ApiKeySecurity
ApiKeySecurity: type 1 string, name 2 string, in 3 string, description 4 string
SecurityRequirement: additional_properties 1 *NamedStringArray
NamedStringArray: name 1 string, value 2 StringArray
StringArray: value 1 *string
"""
SCALARS = {"string": 9, "bool": 8, "int64": 3, "double": 1}
# Messages that are only one of their fields, and those whose entries are the keys of an object.
CHOICES = (
    "ParametersItem",
    "Parameter",
    "NonBodyParameter",
    "ResponseValue",
    "SchemaItem",
    "AdditionalPropertiesItem",
    "SecurityItem",
)
SPREAD = ("vendor_extension", "path", "response_code")
KEYS = {
    "_ref": "$ref",
    "operation_id": "operationId",
    "security_definitions": "securityDefinitions",
    "collection_format": "collectionFormat",
    "max_length": "maxLength",
}


@cache
def document_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="v2.proto", package="openapi.v2", syntax="proto3")
    for line in PROTO.strip().replace("\n ", " ").split("\n"):
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        if name in CHOICES:
            message.oneof_decl.add(name="oneof")
        for field in fields.split(", "):
            key, number, kind = field.split(" ")
            label, kind = (3, kind[1:]) if kind.startswith("*") else (1, kind)
            added = message.field.add(name=key, number=int(number), label=label, type=SCALARS.get(kind, 11))
            if name in CHOICES:
                added.oneof_index = 0
            if kind not in SCALARS:
                added.type_name = f".openapi.v2.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("openapi.v2.Document"))


def decode(body: bytes) -> Any:
    return folded(document_class().FromString(body))


def folded(message: Any) -> Any:
    """The JSON that a message stands for. Yields keys in the message's order."""
    name = message.DESCRIPTOR.name
    if name == "Any":
        return yaml.safe_load(message.yaml)
    if name == "ItemsItem":
        (only,) = message.schema
        return folded(only)
    if name == "TypeItem":
        (kind,) = message.value
        return kind
    if name == "StringArray":
        return list(message.value)
    if name in CHOICES:
        ((_, value),) = message.ListFields()
        return value if isinstance(value, bool) else folded(value)
    return dict(entries(message))


def entries(message: Any) -> Iterator[tuple[str, Any]]:
    is_map = message.DESCRIPTOR.name != "Schema"
    for field, value in message.ListFields():
        if field.name in SPREAD or (is_map and field.name == "additional_properties"):
            yield from ((entry.name, folded(entry.value)) for entry in value)
        elif field.type != 11:
            yield KEYS.get(field.name, field.name), list(value) if field.is_repeated else value
        elif field.is_repeated:
            yield KEYS.get(field.name, field.name), [folded(entry) for entry in value]
        else:
            key = {"additional_properties": "additionalProperties"}.get(field.name, field.name)
            yield KEYS.get(key, key), folded(value)


def without_false(node: Any) -> Any:
    """proto3 does not tell an absent `required` and a false one apart."""
    if isinstance(node, dict):
        return {key: without_false(child) for key, child in node.items() if child is not False}
    return [without_false(child) for child in node] if isinstance(node, list) else node


def test_the_message_says_all_that_the_json_says() -> None:
    wanted = without_false(orjson.loads(SERVER.v2().body()))
    decoded = decode(SERVER.v2_protobuf().body())
    assert decoded["definitions"] == wanted["definitions"]
    assert decoded["paths"] == wanted["paths"]
    assert decoded == wanted


def test_properties_and_definitions_keep_their_order() -> None:
    wanted = orjson.loads(SERVER.v2().body())["definitions"]
    decoded = decode(SERVER.v2_protobuf().body())["definitions"]
    assert list(decoded) == list(wanted)
    pod = "io.k8s.api.core.v1.Pod"
    assert list(decoded[pod]["properties"]) == list(wanted[pod]["properties"])


def test_kubectl_finds_the_kind_and_field_validation_at_the_patch() -> None:
    paths = decode(SERVER.v2_protobuf().body())["paths"]
    patch = paths["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert "fieldValidation" in [entry["name"] for entry in patch["parameters"] if entry["in"] == "query"]


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": False},
        {"additionalProperties": True},
        {"additionalProperties": {}},
        {"default": 0, "enum": [False, "yes", 1.5, None]},
        {"default": {"a": ['"', "\n", "é", "\U0001f600"]}},
        {"properties": {"x-name": {"type": "string"}, "$ref": {"type": "integer"}}},
        {"description": "é" * 200, "x-list": ["a"], "x-none": None, "x-text": "yes"},
    ],
)
def test_schemas_at_the_edges_come_back(schema: dict[str, Any]) -> None:
    assert decode(gnostic.encode({"definitions": {"a": schema}}))["definitions"]["a"] == schema


def test_what_version_two_does_not_have_is_left_out() -> None:
    body = gnostic.encode({"definitions": {"a": {"type": "string", "nullable": True, "oneOf": []}}})
    assert decode(body)["definitions"]["a"] == {"type": "string"}


def test_numbers_are_read_back() -> None:
    parameter = {"name": "p", "in": "query", "type": "integer", "minimum": -1.5, "maxLength": -(2**40)}
    parameters: list[Any] = [parameter, {"$ref": "#/parameters/q"}]
    paths = {"/a": {"parameters": parameters}}
    assert decode(gnostic.encode({"paths": paths}))["paths"] == paths


def test_security_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="oauth2"):
        gnostic.encode({"securityDefinitions": {"a": {"type": "oauth2"}}})
