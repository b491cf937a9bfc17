"""Pods that take more of the node's disk than they may. Pure: what they take is given.

Source: "Local ephemeral storage", kubelet's pkg/kubelet/eviction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from podium.api.types import Obj, quantity
from podium.runtime.eviction.ranking import is_critical

_RESOURCE = "ephemeral-storage"


class Taken(NamedTuple):
    """Bytes on the disk: `containers` what each has written and logged, `volumes` what each emptyDir holds
    that is not in memory."""

    containers: Mapping[str, int]
    volumes: Mapping[str, int]


def is_limited(pod: Obj) -> bool:
    """Whether it is worth looking at what the pod takes."""
    return bool(_limits(pod) or _volume_limits(pod)) and not is_critical(pod)


def excess(pod: Obj, taken: Taken) -> str | None:
    """What the pod takes too much of, in the words of its eviction."""
    for name, limit in _volume_limits(pod).items():
        if taken.volumes.get(name, 0) > quantity.value(limit):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    limits = _limits(pod)
    total = sum(quantity.value(limit) for limit in limits.values())
    if limits and sum(taken.containers.values()) + sum(taken.volumes.values()) > total:
        text = _written(pod, total)
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {text}. "
    for name, limit in limits.items():
        if taken.containers.get(name, 0) > quantity.value(limit):
            return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
    return None


def _volume_limits(pod: Obj) -> dict[str, str]:
    found = {}
    for volume in pod["spec"].get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit is not None and quantity.value(limit) > 0 and not volume["emptyDir"].get("medium"):
            found[str(volume["name"])] = str(limit)
    return found


def _limits(pod: Obj) -> dict[str, str]:
    """What each container may take, of those that have a limit."""
    found = {}
    for container in pod["spec"].get("containers") or ():
        limit = ((container.get("resources") or {}).get("limits") or {}).get(_RESOURCE)
        if limit is not None and quantity.value(limit) > 0:
            found[str(container["name"])] = str(limit)
    return found


def _written(pod: Obj, total: int) -> str:
    """A sum of limits as a quantity: as it stands there where it is one."""
    limits = list(_limits(pod).values())
    if len(limits) == 1:
        return limits[0]
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if total % size == 0:
            return f"{total // size}{unit}"
    return str(total)
