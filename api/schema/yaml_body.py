"""YAML bodies, read as upstream's converter to JSON reads them: strings for keys and timestamps, aliases
expanded within bounds.

PyYAML is imported here alone, and this module only when somebody sends YAML.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from podium.api.schema.body import MAX_DEPTH
from podium.api.types import errors
from podium.api.types.errors import StatusError

# Aliases may repeat a node; with this many nodes more than the body could spell out it is an attack.
MAX_REPEATED = 20_000
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


def decode(body: bytes) -> tuple[Any, list[str]]:
    """The one document in `body` and the duplicate keys found, as upstream words them. Raises 400."""
    loader = None
    try:
        text = body.decode("utf-8")
        loader = yaml.CSafeLoader(text)
        node = _compose(loader)
        builder = _Builder(loader, MAX_REPEATED + len(body))
        value = builder.build(node, 0) if node is not None else None
    except UnicodeDecodeError as error:
        raise _malformed(f"invalid UTF-8: {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _malformed(" ".join(str(error).split())) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not builder.duplicates:
        return value, []
    lines = "\n".join(f"  {entry}" for entry in builder.duplicates[:100])
    return value, [f"yaml: unmarshal errors:\n{lines}"]


def _compose(loader: Any) -> yaml.Node | None:
    """The node graph of the one document, from the events of a CSafeLoader. Its own composer recurses without
    a bound, in C: what is nested a million times would end the process."""
    loader.get_event()
    if loader.check_event(yaml.StreamEndEvent):
        return None
    loader.get_event()
    node = _node(loader, loader.get_event(), {}, 0)
    loader.get_event()
    if not loader.check_event(yaml.StreamEndEvent):
        raise ValueError("expected a single document in the stream")
    return node


def _node(loader: Any, event: Any, anchors: dict[str, yaml.Node], depth: int) -> yaml.Node:
    if depth > MAX_DEPTH:
        raise ValueError(f"exceeded max depth of {MAX_DEPTH}")
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise ValueError(f"unknown anchor '{event.anchor}' referenced")
        return anchors[event.anchor]
    node = _empty(loader, event)
    if event.anchor is not None:
        anchors[event.anchor] = node
    if isinstance(node, yaml.ScalarNode):
        return node
    ends = yaml.SequenceEndEvent if isinstance(node, yaml.SequenceNode) else yaml.MappingEndEvent
    while not isinstance(inner := loader.get_event(), ends):
        child = _node(loader, inner, anchors, depth + 1)
        if ends is yaml.SequenceEndEvent:
            node.value.append(child)
        else:
            node.value.append((child, _node(loader, loader.get_event(), anchors, depth + 1)))
    return node


def _empty(loader: Any, event: Any) -> yaml.Node:
    """The node that an event begins; of a collection, without what is in it."""
    tag, mark = event.tag, event.start_mark
    if isinstance(event, yaml.SequenceStartEvent):
        return yaml.SequenceNode(tag, [], mark)
    if isinstance(event, yaml.MappingStartEvent):
        return yaml.MappingNode(tag, [], mark)
    if tag is None or tag == "!":
        tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    return yaml.ScalarNode(tag, event.value, mark)


class _Builder:
    """Builds plain values from a node graph, counting what aliases repeat."""

    def __init__(self, loader: yaml.CSafeLoader, limit: int) -> None:
        self.duplicates: list[str] = []
        self._loader = loader
        self._limit = limit
        self._count = 0

    def build(self, node: yaml.Node, depth: int) -> Any:
        self._count += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"exceeded max depth of {MAX_DEPTH}")
        if self._count > self._limit:
            raise ValueError("document contains excessive aliasing")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, depth + 1) for child in node.value]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(value_node, merged, depth)
                continue
            key = _key(self.build(key_node, depth + 1))
            if key in result:
                line = key_node.start_mark.line + 1
                self.duplicates.append(f'line {line}: key "{key}" already set in map')
            result[key] = self.build(value_node, depth + 1)
        return {**merged, **result} if merged else result

    def _merge(self, node: yaml.Node, into: dict[str, Any], depth: int) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            value = self.build(source, depth + 1)
            if not isinstance(value, dict):
                raise ValueError("map merge requires map or sequence of maps as the value")
            for key, entry in value.items():
                into.setdefault(key, entry)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        # YAML 1.1's base-60 numbers (`1:30`) and timestamps stay the text that they are.
        if kind not in ("null", "bool", "int", "float") or (kind in ("int", "float") and ":" in text):
            return text
        try:
            value = self._loader.construct_object(node)
        except LookupError:
            # Of a tag that was given and does not fit.
            raise ValueError(f"cannot decode {node.tag.removeprefix(_TAG)} {text!r}") from None
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"unsupported value: {text}")
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            # As a number of JSON is read that no integer has room for.
            return float(value)
        return value


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise ValueError(f"unsupported key of type {type(value).__name__}")


def _malformed(why: str) -> StatusError:
    return errors.bad_request(f"error converting YAML to JSON: yaml: {why}")
