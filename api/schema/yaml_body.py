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

# Aliases may repeat a node; beyond this many nodes in all it is an attack.
MAX_NODES = 500_000
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


def decode(body: bytes) -> tuple[Any, list[str]]:
    """The one document in `body` and the duplicate keys found, as upstream words them. Raises 400."""
    loader = None
    try:
        text = body.decode("utf-8")
        loader = yaml.CSafeLoader(text)
        node = loader.get_single_node()
        builder = _Builder(loader)
        value = builder.build(node, 0) if node is not None else None
    except UnicodeDecodeError as error:
        raise _malformed(f"invalid UTF-8: {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _malformed(" ".join(str(error).split())) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not builder.duplicates:
        return value, []
    lines = "\n".join(f"  {entry}" for entry in builder.duplicates[:100])
    return value, [f"yaml: unmarshal errors:\n{lines}"]


class _Builder:
    """Builds plain values from a node graph, counting what aliases repeat."""

    def __init__(self, loader: yaml.CSafeLoader) -> None:
        self.duplicates: list[str] = []
        self._loader = loader
        self._count = 0

    def build(self, node: yaml.Node, depth: int) -> Any:
        self._count += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"exceeded max depth of {MAX_DEPTH}")
        if self._count > MAX_NODES:
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
        value = self._loader.construct_object(node)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"unsupported value: {text}")
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
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
