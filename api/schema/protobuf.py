"""Request bodies in `application/vnd.kubernetes.protobuf`, which Go clients (kubectl's `create deployment`
among them) send for built-in kinds. Answers are never protobuf: those clients take JSON too.

The envelope is the four bytes `k8s\\0` and a runtime.Unknown (typeMeta 1, raw 2). What the types are comes
from the definitions; the fields' numbers from `field_numbers.txt`: a line per message, `name=number`, with
`?` where a zero is told apart from an absent value, and `+Name=number` for a message whose fields JSON
inlines.
"""

from __future__ import annotations

import base64
import importlib.resources
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import orjson

from podium.api.types import Obj
from podium.api.types.errors import StatusError, bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MAX_DEPTH = 100
_META = "io.k8s.apimachinery.pkg."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REFERENCE = len("#/$defs/")

Wire = int | bytes
# Of what is on the wire (with the depth it is at) a JSON value.
Read = Callable[[Wire, int], Any]


class Malformed(Exception):
    """Bytes that are no protobuf message of the expected type."""


class Field(NamedTuple):
    """`many` is "list", "map" or "" for one value; `zero` says that a zero is kept; `inline` merges into the
    parent."""

    name: str
    read: Read
    many: str = ""
    zero: bool = False
    inline: bool = False


@cache
def _numbers() -> dict[str, list[str]]:
    text = (importlib.resources.files("podium.api.schema") / "field_numbers.txt").read_text()
    return {name: fields for name, *fields in (line.split() for line in text.splitlines())}


class ProtobufReader:
    """Decodes bodies of built-in kinds. Message types are compiled at their first use."""

    def __init__(self, definitions: dict[str, Obj], names: dict[tuple[str, str, str], str]) -> None:
        self._definitions = definitions
        self._names = names
        self._messages: dict[str, dict[int, Field]] = {}

    def decode(self, body: bytes) -> Obj:
        """The object in a body. Raises StatusError 400."""
        try:
            return self._decode(body)
        except Malformed as error:
            raise unreadable(str(error)) from None

    def _decode(self, body: bytes) -> Obj:
        if not body.startswith(MAGIC):
            raise Malformed(
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
            )
        api_version = kind = ""
        raw = b""
        for number, value in fields(body[len(MAGIC) :]):
            if number == 1:
                meta = {key: _text(entry) for key, entry in fields(_bytes(value))}
                api_version, kind = meta.get(1, ""), meta.get(2, "")
            elif number == 2:
                raw = _bytes(value)
        group, _, version = api_version.rpartition("/")
        name = self._names.get((group, version, kind), f"{_META}apis.meta.v1.{kind}")
        if name not in _numbers():
            raise Malformed(f'no kind "{kind}" is registered for version "{api_version}"')
        return {"apiVersion": api_version, "kind": kind, **self._message(name, raw, 0)}

    def _message(self, name: str, data: bytes, depth: int) -> Obj:
        if depth > MAX_DEPTH:
            raise Malformed(f"exceeded max depth of {MAX_DEPTH}")
        known = self._fields(name)
        made: Obj = {}
        for number, value in fields(data):
            if field := known.get(number):
                _put(made, field, value, depth + 1)
        return made

    def _fields(self, name: str) -> dict[int, Field]:
        found = self._messages.get(name)
        if found is None:
            found = self._messages[name] = {}
            properties = (self._definitions.get(name) or {}).get("properties") or {}
            package = name.rpartition(".")[0]
            # A message without fields is not among them.
            for entry in _numbers().get(name, ()):
                key, _, number = entry.partition("=")
                if key.startswith("+"):
                    inner = f"{package}.{key[1:]}"
                    found[int(number)] = Field(key, self._inlined(inner, properties), inline=True)
                elif key in properties:
                    found[int(number.rstrip("?"))] = self._field(key, properties[key], number.endswith("?"))
        return found

    def _inlined(self, name: str, properties: Obj) -> Read:
        """An inlined message has no definition of its own: its fields stand in the parent's."""
        if name not in self._definitions:
            self._definitions = {**self._definitions, name: {"properties": properties}}
        return lambda value, depth: self._message(name, _bytes(value), depth)

    def _field(self, name: str, prop: Obj, zero: bool) -> Field:
        if _kind(prop) == "array":
            return Field(name, self._reader(prop["items"]), "list")
        if _kind(prop) == "object" and "additionalProperties" in prop and "$ref" not in prop:
            return Field(name, self._entry(prop["additionalProperties"]), "map")
        return Field(name, self._reader(prop), "", zero)

    def _entry(self, prop: Obj) -> Read:
        """An entry of a map; a list as its value is a message of its own with the items as field 1."""
        nested = _kind(prop) == "array"
        read = self._reader(prop["items"] if nested else prop)

        def entry(value: Wire, depth: int) -> tuple[str, Any]:
            parts = dict(fields(_bytes(value)))
            key = _text(parts.get(1, b""))
            if nested:
                return key, [read(item, depth) for _, item in fields(_bytes(parts.get(2, b"")))]
            absent: Wire = b"" if _kind(prop) in ("string", "object", "") else 0
            return key, read(parts.get(2, absent), depth)

        return entry

    def _union(self, union: Union, data: bytes, depth: int) -> Any:
        """Of a schema and something else, the one that is there."""
        schema, others = None, []
        for number, value in fields(data):
            if number == union.schema:
                schema = self._message(SCHEMA, _bytes(value), depth + 1)
            elif number == union.other:
                others.append(
                    union.read(value) if union.read else self._message(SCHEMA, _bytes(value), depth + 1)
                )
        if schema is not None:
            return schema
        if union.read is bool:
            return bool(others and others[-1])
        return others

    def _reader(self, prop: Obj) -> Read:
        if "$ref" in prop:
            name = prop["$ref"][_REFERENCE:]
            if special := SPECIAL.get(name):
                return special
            if union := UNIONS.get(name):
                return lambda value, depth: self._union(union, _bytes(value), depth)
            return lambda value, depth: self._message(name, _bytes(value), depth)
        match _kind(prop):
            case "string" if prop.get("format") == "byte":
                return lambda value, _: base64.b64encode(_bytes(value)).decode()
            case "string":
                return lambda value, _: _text(value)
            case "boolean":
                return lambda value, _: bool(value)
            case "integer":
                return lambda value, _: _signed(value)
            case "number":
                return lambda value, _: struct.unpack("<d", _bytes(value))[0]
        return _raw


def _put(made: Obj, field: Field, value: Wire, depth: int) -> None:
    read = field.read(value, depth)
    if field.inline:
        made.update(read)
    elif field.many == "list":
        made.setdefault(field.name, []).append(read)
    elif field.many == "map":
        key, entry = read
        made.setdefault(field.name, {})[key] = entry
    elif field.zero or not (read is None or read == "" or read is False or (read == 0 and type(read) is int)):
        # Go sends every field that is no pointer, also those that nobody set.
        made[field.name] = read


def _kind(prop: Obj) -> str:
    kind = prop.get("type", "")
    return str(kind[0]) if isinstance(kind, list) else str(kind)


def fields(data: bytes) -> Iterator[tuple[int, Wire]]:
    """(number, value) of each field of a message: an int for a varint, bytes for everything else. Raises
    Malformed."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Malformed(f"proto: illegal wireType {kind}")
        if at + size > end:
            raise Malformed("unexpected EOF")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise Malformed("unexpected EOF")
        if shift > 63:
            raise Malformed("proto: integer overflow")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def _bytes(value: Wire) -> bytes:
    if isinstance(value, int):
        raise Malformed("proto: wrong wireType")
    return value


def _text(value: Wire) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise Malformed("proto: invalid UTF-8 in a string") from None


def _signed(value: Wire) -> int:
    if not isinstance(value, int):
        raise Malformed("proto: wrong wireType")
    return value - (1 << 64) if value >> 63 else value


def _quantity(value: Wire, _depth: int) -> Any:
    return next((_text(entry) for number, entry in fields(_bytes(value)) if number == 1), "0")


def _int_or_string(value: Wire, _depth: int) -> Any:
    parts = dict(fields(_bytes(value)))
    return _text(parts.get(3, b"")) if parts.get(1) else _signed(parts.get(2, 0))


def _time(value: Wire, _depth: int) -> Any:
    parts = dict(fields(_bytes(value)))
    return f"{_moment(parts):%Y-%m-%dT%H:%M:%SZ}" if parts.get(1) else None


def _micro_time(value: Wire, _depth: int) -> Any:
    parts = dict(fields(_bytes(value)))
    return f"{_moment(parts):%Y-%m-%dT%H:%M:%S.%fZ}" if parts.get(1) else None


def _moment(parts: dict[int, Wire]) -> datetime:
    try:
        return _EPOCH + timedelta(
            seconds=_signed(parts.get(1, 0)), microseconds=_signed(parts.get(2, 0)) // 1000
        )
    except OverflowError:
        raise Malformed("a time that is out of range") from None


def _raw(value: Wire, _depth: int) -> Any:
    """A message that carries JSON in its first field: RawExtension, FieldsV1, JSON."""
    raw = next((_bytes(entry) for number, entry in fields(_bytes(value)) if number == 1), b"")
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError as error:
        raise Malformed(f"json parse error: {error}") from None


SPECIAL: dict[str, Read] = {
    f"{_META}api.resource.Quantity": _quantity,
    f"{_META}util.intstr.IntOrString": _int_or_string,
    f"{_META}apis.meta.v1.Time": _time,
    f"{_META}apis.meta.v1.MicroTime": _micro_time,
    f"{_META}apis.meta.v1.FieldsV1": _raw,
    f"{_META}runtime.RawExtension": _raw,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": _raw,
}


_CUSTOM = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
SCHEMA = f"{_CUSTOM}JSONSchemaProps"


class Union(NamedTuple):
    """The numbers of the two fields; `read` makes a value of the other, None where that is a schema too."""

    schema: int
    other: int
    read: Callable[[Any], Any] | None = None


UNIONS: dict[str, Union] = {
    f"{_CUSTOM}JSONSchemaPropsOrArray": Union(1, 2),
    f"{_CUSTOM}JSONSchemaPropsOrBool": Union(2, 1, bool),
    f"{_CUSTOM}JSONSchemaPropsOrStringArray": Union(1, 2, _text),
}


def unreadable(why: str) -> StatusError:
    return bad_request(f"couldn't get version/kind; {why}")
