"""The v2 document as a protobuf message, the only form in which kubectl asks for it.

kubectl does so when the v3 documents do not tell whether a kind takes `fieldValidation`: for a `kind: List`,
and for kinds that it does not find. It has no JSON to fall back to.

Source: `openapiv2/OpenAPIv2.proto` of google/gnostic-models (package openapi.v2, proto3): the fields and
their numbers. A free value (a vendor extension, a default) is YAML text in it; here JSON, which YAML
contains. Not there: OAuth's security definitions, which this server has no use for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import orjson

from podium.api.types import Obj

# Clients ask with the first name. It is no media type by RFC 9110, `@` being no token character, and Go
# refuses to parse it in an answer: that bears the second name.
REQUESTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

# A line per message, a word per field: `name=number:type`; `*type` is repeated. The name is the key in the
# document, but for `x-`, the vendor extensions, and `?`, all keys that are not named: for both the field is a
# repeated message of name (1) and value (2), and the type is the value's. `primitive=5` stands for the fields
# of _PRIMITIVE, numbered from 5 on.
_PRIMITIVE = """type:string format:string items:Primitive collectionFormat:string default:Any maximum:double
exclusiveMaximum:bool minimum:double exclusiveMinimum:bool maxLength:int minLength:int pattern:string
maxItems:int minItems:int uniqueItems:bool enum:*Any multipleOf:double"""
_MESSAGES = """
Document swagger=1:string info=2:Info host=3:string basePath=4:string schemes=5:*string consumes=6:*string
 produces=7:*string paths=8:Paths definitions=9:Schemas parameters=10:Parameters responses=11:SharedResponses
 security=12:*SecurityRequirement securityDefinitions=13:SecurityDefinitions tags=14:*Tag
 externalDocs=15:ExternalDocs x-=16:Any
Info title=1:string version=2:string description=3:string termsOfService=4:string contact=5:Contact
 license=6:License x-=7:Any
Contact name=1:string url=2:string email=3:string x-=4:Any
License name=1:string url=2:string x-=3:Any
Tag name=1:string description=2:string externalDocs=3:ExternalDocs x-=4:Any
ExternalDocs description=1:string url=2:string x-=3:Any
JsonReference $ref=1:string description=2:string
Paths x-=1:Any ?=2:PathItem
PathItem $ref=1:string get=2:Operation put=3:Operation post=4:Operation delete=5:Operation
 options=6:Operation head=7:Operation patch=8:Operation parameters=9:*ParametersItem x-=10:Any
Operation tags=1:*string summary=2:string description=3:string externalDocs=4:ExternalDocs
 operationId=5:string produces=6:*string consumes=7:*string parameters=8:*ParametersItem
 responses=9:Responses schemes=10:*string deprecated=11:bool security=12:*SecurityRequirement x-=13:Any
Parameters ?=1:Parameter
BodyParameter description=1:string name=2:string in=3:string required=4:bool schema=5:Schema x-=6:Any
PathParameter required=1:bool in=2:string description=3:string name=4:string primitive=5 x-=22:Any
QueryParameter required=1:bool in=2:string description=3:string name=4:string allowEmptyValue=5:bool
 primitive=6 x-=23:Any
Primitive primitive=1 x-=18:Any
Responses ?=1:ResponseValue x-=2:Any
SharedResponses ?=1:Response
Response description=1:string schema=2:SchemaItem headers=3:Headers examples=4:Examples x-=5:Any
Headers ?=1:Header
Header primitive=1 description=18:string x-=19:Any
Examples ?=1:Any
Schemas ?=1:Schema
Schema $ref=1:string format=2:string title=3:string description=4:string default=5:Any multipleOf=6:double
 maximum=7:double exclusiveMaximum=8:bool minimum=9:double exclusiveMinimum=10:bool maxLength=11:int
 minLength=12:int pattern=13:string maxItems=14:int minItems=15:int uniqueItems=16:bool maxProperties=17:int
 minProperties=18:int required=19:*string enum=20:*Any additionalProperties=21:AdditionalProperties
 type=22:StringArray items=23:ItemsItem allOf=24:*Schema properties=25:Schemas discriminator=26:string
 readOnly=27:bool xml=28:Xml externalDocs=29:ExternalDocs example=30:Any x-=31:Any
Xml name=1:string namespace=2:string prefix=3:string attribute=4:bool wrapped=5:bool x-=6:Any
FileSchema format=1:string title=2:string description=3:string default=4:Any required=5:*string type=6:string
 readOnly=7:bool externalDocs=8:ExternalDocs example=9:Any x-=10:Any
SecurityRequirement ?=1:StringArray
SecurityDefinitions ?=1:SecurityDefinition
BasicSecurity type=1:string description=2:string x-=3:Any
ApiKeySecurity type=1:string name=2:string in=3:string description=4:string x-=5:Any
"""


class Field(NamedTuple):
    number: int
    type: str
    repeated: bool


def encode(document: Obj) -> bytes:
    """A whole document, given as JSON's objects. Keys that OpenAPI 2.0 does not have are left out; raises
    ValueError for a security definition that is neither `basic` nor `apiKey`."""
    return _value("Document", document)


_SCALARS = frozenset(("string", "bool", "int", "double"))


@cache
def _messages() -> dict[str, dict[str, Field]]:
    messages: dict[str, dict[str, Field]] = {}
    for line in _MESSAGES.replace("\n ", " ").split("\n")[1:-1]:
        message, *words = line.split()
        messages[message] = dict(field for word in words for field in _declared(word))
    return messages


def _declared(word: str) -> Iterator[tuple[str, Field]]:
    name, _, rest = word.partition("=")
    number, _, kind = rest.partition(":")
    if kind:
        yield name, Field(int(number), kind.removeprefix("*"), kind.startswith("*"))
        return
    for each, entry in enumerate(_PRIMITIVE.split(), int(number)):
        yield from _declared(entry.replace(":", f"={each}:"))


# --- the wire: before each value the field's number and how the value is written, 0 varint, 1 eight bytes, 2
# length and bytes


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _tagged(number: int, kind: str, value: Any) -> bytes:
    match kind:
        case "bool" | "int":
            return _varint(number << 3) + _varint(int(value))
        case "double":
            return _varint(number << 3 | 1) + struct.pack("<d", value)
    body = _value(kind, value)
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _value(kind: str, value: Any) -> bytes:
    """What stands behind the length: text, or a message."""
    if kind == "string":
        return str(value).encode()
    if kind in _CHOICES:
        return _tagged(*_CHOICES[kind](value), value)
    if kind in _LISTS:
        entries = value if isinstance(value, list) else [value]
        return b"".join(_tagged(1, _LISTS[kind], entry) for entry in entries)
    if kind == "Any":
        return _tagged(2, "string", orjson.dumps(value).decode())
    return b"".join(_fields(_messages()[kind], value))


def _fields(fields: dict[str, Field], value: Obj) -> Iterator[bytes]:
    extensions, others = fields.get("x-"), fields.get("?")
    for key, entry in value.items():
        field = fields.get(key)
        named = extensions if extensions and key.startswith("x-") else others
        if field is not None and field.repeated:
            yield from (_tagged(field.number, field.type, each) for each in entry)
        elif field is not None:
            # In proto3, an absent scalar and a zero are the same.
            if entry or field.type not in _SCALARS:
                yield _tagged(field.number, field.type, entry)
        elif named is not None:
            body = _tagged(1, "string", key) + _tagged(2, named.type, entry)
            yield _varint(named.number << 3 | 2) + _varint(len(body)) + body


# --- messages of one field of several, and of one repeated field

Choice = Callable[[Any], tuple[int, str]]


def _referable(number: int, kind: str, reference: int) -> Choice:
    return lambda value: (reference, "JsonReference") if "$ref" in value else (number, kind)


def _not_in_body(value: Obj) -> tuple[int, str]:
    # These are four messages, alike two by two.
    return {
        "header": (1, "PathParameter"),
        "formData": (2, "QueryParameter"),
        "query": (3, "QueryParameter"),
        "path": (4, "PathParameter"),
    }[value["in"]]


def _security(value: Obj) -> tuple[int, str]:
    match value["type"]:
        case "basic":
            return 1, "BasicSecurity"
        case "apiKey":
            return 2, "ApiKeySecurity"
    raise ValueError(f"security of type {value['type']!r} cannot be encoded")


_CHOICES: dict[str, Choice] = {
    "ParametersItem": _referable(1, "Parameter", 2),
    "Parameter": lambda value: (1, "BodyParameter") if value["in"] == "body" else (2, "NonBodyParameter"),
    "NonBodyParameter": _not_in_body,
    "ResponseValue": _referable(1, "Response", 2),
    "SchemaItem": lambda value: (2, "FileSchema") if value.get("type") == "file" else (1, "Schema"),
    "AdditionalProperties": lambda value: (2, "bool") if isinstance(value, bool) else (1, "Schema"),
    "SecurityDefinition": _security,
}
_LISTS = {"StringArray": "string", "ItemsItem": "Schema"}
