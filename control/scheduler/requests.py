"""What a pod asks of a node. Amounts are integers: millicores for cpu, whole units (bytes, devices) for all
else.

Source: API reference, PodSpec and ResourceRequirements; "Pod Lifecycle" for init containers and sidecars.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from podium.api.types import Obj, quantity

Amounts = dict[str, int]

# Counted for scoring where a container asks for nothing, so that such pods spread too.
DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
_POD_LEVEL = ("cpu", "memory")


@lru_cache(maxsize=8192)
def _amount(resource: str, text: str | int | float) -> int:
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def amounts(quantities: Mapping[str, str] | None) -> Amounts:
    """A ResourceList as integers. What cannot be read counts as nothing: the API server let it through."""
    result: Amounts = {}
    for resource, text in (quantities or {}).items():
        try:
            result[resource] = _amount(resource, text)
        except ValueError:
            continue
    return result


def pod_requests(spec: Obj, *, defaults: bool = False) -> Amounts:
    """The most that the pod's containers ask for at any moment of its life, and its overhead. Containers run
    together; init containers one after the other beside the sidecars started before them. With `defaults`,
    containers that ask for no cpu or memory count with the scoring defaults."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _container(container, defaults))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _container(container, defaults)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            _raise_to(peak, sidecars)
        else:
            _raise_to(peak, _sum(sidecars, asked))
    _add(total, sidecars)
    _raise_to(total, peak)
    for resource, amount in amounts((spec.get("resources") or {}).get("requests")).items():
        if resource in _POD_LEVEL or resource.startswith("hugepages-"):
            total[resource] = amount
    _add(total, amounts(spec.get("overhead")))
    return {resource: amount for resource, amount in total.items() if amount}


def _container(container: Obj, defaults: bool) -> Amounts:
    asked = amounts((container.get("resources") or {}).get("requests"))
    if defaults:
        asked.setdefault("cpu", DEFAULT_MILLI_CPU)
        asked.setdefault("memory", DEFAULT_MEMORY)
    return asked


def _sum(left: Amounts, right: Amounts) -> Amounts:
    total = dict(left)
    _add(total, right)
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _raise_to(total: Amounts, floor: Amounts) -> None:
    for resource, amount in floor.items():
        if amount > total.get(resource, 0):
            total[resource] = amount
