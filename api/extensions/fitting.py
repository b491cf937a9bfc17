"""What is done to an object before it is judged: unknown fields go, nulls that mean nothing go, and absent
fields get their defaults.

Source: docs, "Field pruning", "Defaulting", "Defaulting and nullable".
"""

from __future__ import annotations

from typing import Any

from podium.api.ask import copied
from podium.api.extensions.nodes import Node
from podium.api.schema.walk import MapKey, Path, Type, Unknown

_META = ("apiVersion", "kind", "metadata")


class Pruner:
    """`meta` is the type of an object's metadata, which embedded objects have too."""

    def __init__(self, meta: Type) -> None:
        self._meta = meta

    def prune(self, value: Any, node: Node, path: Path, unknown: Unknown) -> None:
        """In place. What was unknown is added to `unknown`."""
        if isinstance(value, dict):
            self._object(value, node, path, unknown)
        elif isinstance(value, list) and node.items is not None:
            for index, entry in enumerate(value):
                self.prune(entry, node.items, (path, index), unknown)

    def _object(self, value: dict[str, Any], node: Node, path: Path, unknown: Unknown) -> None:
        drop: list[str] = []
        for key, entry in value.items():
            if node.embedded and key in _META:
                if key == "metadata" and entry is not None:
                    self._meta.enter(entry, (path, key), unknown)
            elif (child := node.properties.get(key)) is not None:
                if entry is None and not child.nullable and not child.has_default:
                    drop.append(key)
                else:
                    self.prune(entry, child, (path, key), unknown)
            elif isinstance(node.additional, Node):
                self.prune(entry, node.additional, (path, MapKey(key)), unknown)
            elif not (node.preserve or node.additional):
                unknown.append((path, key))
                drop.append(key)
        for key in drop:
            del value[key]


def default(value: Any, node: Node) -> None:
    """In place."""
    if isinstance(value, dict):
        for key, child in node.properties.items():
            if child.has_default and (key not in value or (value[key] is None and not child.nullable)):
                value[key] = copied(child.default)
            if key in value:
                default(value[key], child)
        if isinstance(node.additional, Node):
            for key, entry in value.items():
                if key not in node.properties:
                    default(entry, node.additional)
    elif isinstance(value, list) and node.items is not None:
        for entry in value:
            default(entry, node.items)


def has_defaults(node: Node) -> bool:
    """Whether there is anything to fill in at all."""
    below = [
        *node.properties.values(),
        *(each for each in (node.items, node.additional) if isinstance(each, Node)),
    ]
    return any(child.has_default or has_defaults(child) for child in below)
