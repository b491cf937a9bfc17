"""The downward API: a pod's own fields and its containers' resources as text. Pure.

Source: "Downward API" and the API reference's ObjectFieldSelector, ResourceFieldSelector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

import orjson

from podium.api.types import Obj, quantity
from podium.storage.errors import failed

# A container without a limit may use the whole node.
_FROM_NODE = ("cpu", "memory", "ephemeral-storage")


def field_text(pod: Obj, path: str) -> str:
    """What a volume's `fieldRef` shows. Raises VolumeError."""
    meta = pod["metadata"]
    base, bracket, key = path.removesuffix("']").partition("['")
    if bracket:
        if base not in ("metadata.labels", "metadata.annotations"):
            raise failed(f'fieldPath "{path}" does not support subscript')
        return str((meta.get(base.removeprefix("metadata.")) or {}).get(key, ""))
    match path:
        case "metadata.labels" | "metadata.annotations":
            return _map_text(meta.get(path.removeprefix("metadata.")) or {})
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(meta.get(path.removeprefix("metadata."), ""))
    raise failed(f"unsupported fieldPath: {path}")


def _map_text(entries: Mapping[str, str]) -> str:
    """One `key="value"` a line, sorted; JSON's escapes are among those that Go's quoting has."""
    return "\n".join(f"{key}={orjson.dumps(value).decode()}" for key, value in sorted(entries.items()))


def needs_node(pod: Obj, reference: Mapping[str, Any]) -> bool:
    """Whether a `resourceFieldRef` shows the node's allocatable amount for want of a limit."""
    container = _container(pod, str(reference.get("containerName", "")))
    section, _, name = str(reference["resource"]).partition(".")
    limits = (container.get("resources") or {}).get("limits") or {}
    return section == "limits" and name in _FROM_NODE and name not in limits


def resource_text(pod: Obj, reference: Mapping[str, Any], allocatable: Mapping[str, Any]) -> str:
    """What a `resourceFieldRef` shows: the amount in units of the divisor, rounded up. A limit that a
    container does not have is that of its pod. Raises VolumeError."""
    container = _container(pod, str(reference.get("containerName", "")))
    section, _, name = str(reference["resource"]).partition(".")
    if section not in ("limits", "requests") or not (name in _FROM_NODE or name.startswith("hugepages-")):
        raise failed(f"unsupported container resource : {reference['resource']}")
    amounts = (container.get("resources") or {}).get(section) or {}
    amount = amounts.get(name)
    if amount is None and section == "limits":
        amount = ((pod["spec"].get("resources") or {}).get(section) or {}).get(name)
    if amount is None:
        amount = allocatable.get(name, 0) if needs_node(pod, reference) else 0
    divisor = quantity.parse(reference.get("divisor") or "1") or Decimal(1)
    return str(int((quantity.parse(amount) / divisor).to_integral_value(ROUND_CEILING)))


def _container(pod: Obj, name: str) -> Obj:
    for container in _containers(pod):
        if container["name"] == name:
            return container
    raise failed(f"container {name} not found")


def _containers(pod: Obj) -> Iterator[Obj]:
    for field in ("containers", "initContainers", "ephemeralContainers"):
        yield from pod["spec"].get(field) or ()
