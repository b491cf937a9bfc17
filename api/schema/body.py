"""A request's body into an object: JSON, YAML or protobuf, with duplicate keys found where somebody asks for
them."""

from __future__ import annotations

import json
from typing import Any

import orjson

from podium.api.schema import protobuf
from podium.api.types import Obj, errors
from podium.api.types.errors import StatusError

# Far deeper than any manifest, and shallow enough for everything that recurses over an object.
MAX_DEPTH = 200
MAX_DUPLICATES = 100
JSON = "application/json"
YAML_TYPES = ("application/yaml", "application/apply-patch+yaml", "text/yaml", "application/x-yaml")

_GO_STRUCT = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_NAMES = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def decode_body(body: bytes, content_type: str = "", *, strict: bool = False) -> tuple[Obj, list[str]]:
    """The object in `body`, and its duplicate keys in upstream's words (only looked for when `strict`, that
    is for fieldValidation Strict and Warn). Raises 400 for what is no object, not UTF-8, malformed or nested
    too deeply."""
    # What is not plain JSON may be written in several ways.
    media_type = content_type if content_type == JSON else content_type.partition(";")[0].strip().lower()
    if media_type == protobuf.MEDIA_TYPE:
        from podium.api.schema.definitions import Definitions

        return Definitions.load().protobuf.decode(body), []
    if media_type in YAML_TYPES:
        value, duplicates = _decode_yaml(body)
    else:
        value = decode_json(body)
        duplicates = json_duplicates(body, value) if strict else []
    if not isinstance(value, dict):
        raise _unreadable(_wrong_shape(value))
    return value, duplicates


def _decode_yaml(body: bytes) -> tuple[Any, list[str]]:
    """Most YAML that is sent is JSON, which is read a hundred times as fast. Raises 400."""
    if body.lstrip()[:1] == b"{":
        try:
            value = decode_json(body)
        except StatusError:
            pass
        else:
            if not json_duplicates(body, value):
                return value, []
    from podium.api.schema import yaml_body

    return yaml_body.decode(body)


def decode_json(body: bytes) -> Any:
    """Any JSON value. NaN, infinities, invalid UTF-8 and lone surrogates are refused. Raises 400."""
    if not body or body.isspace():
        raise _unreadable("json parse error: unexpected end of JSON input")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"json parse error: {error}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and too_deep(value):
        raise _unreadable(f"json parse error: exceeded max depth of {MAX_DEPTH}")
    return value


def too_deep(value: Any) -> bool:
    """Whether a value is nested deeper than MAX_DEPTH. Does not recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for node in level:
            if type(node) is dict:
                deeper += [child for child in node.values() if type(child) in (dict, list)]
            elif type(node) is list:
                deeper += [child for child in node if type(child) in (dict, list)]
        if not deeper:
            return False
        level = deeper
    return True


class _Pairs(list[tuple[str, Any]]):
    """An object's members in order, duplicates kept."""


def json_duplicates(body: bytes, value: Any) -> list[str]:
    """`duplicate field "spec.x"` for every key given twice. A body that encoding its value gives back byte
    for byte (most clients send compact JSON) has none."""
    if orjson.dumps(value) == body.rstrip():
        return []
    found: list[str] = []
    _find_duplicates(json.loads(body, object_pairs_hook=_Pairs), "", found)
    return list(dict.fromkeys(found))[:MAX_DUPLICATES]


def _find_duplicates(node: Any, path: str, found: list[str]) -> None:
    if isinstance(node, _Pairs):
        seen = set()
        for key, child in node:
            where = f"{path}.{key}" if path else key
            if key in seen:
                found.append(f"duplicate field {json.dumps(where, ensure_ascii=False)}")
            seen.add(key)
            _find_duplicates(child, where, found)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            _find_duplicates(child, f"{path}[{index}]", found)


def _wrong_shape(value: Any) -> str:
    name = _NAMES.get(type(value), "null")
    return f"json parse error: json: cannot unmarshal {name} into Go value of type {_GO_STRUCT}"


def _unreadable(why: str) -> StatusError:
    return errors.bad_request(f"couldn't get version/kind; {why}")
