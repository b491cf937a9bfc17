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


def pod_requests(spec: Obj, status: Obj | None = None, *, defaults: bool = False) -> Amounts:
    """The most that the pod's containers ask for at any moment of its life, and its overhead. Containers run
    together; init containers one after the other beside the sidecars started before them. With `defaults`,
    containers that ask for no cpu or memory count with the scoring defaults.

    With `status`, a container that is being resized in place counts with the most of what it asks for, what
    it was allocated and what it has (a resize that is infeasible: without what it asks for). Source:
    KEP-1287."""
    held = _held(status) if status else {}
    infeasible = bool(held) and _infeasible(status or {})
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _container(container, defaults, held, infeasible))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(sidecars, _container(container, defaults, held, infeasible))
            _raise_to(peak, sidecars)
        else:
            _raise_to(peak, _sum(sidecars, _container(container, defaults, {}, False)))
    _add(total, sidecars)
    _raise_to(total, peak)
    total.update(_pod_level(spec, status, infeasible))
    _add(total, amounts(spec.get("overhead")))
    return {resource: amount for resource, amount in total.items() if amount}


def pod_limits(spec: Obj) -> Amounts:
    """The most that the pod may have at any moment of its life, counted like its requests. Overhead is added
    where there is a limit."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _limits(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(sidecars, _limits(container))
            _raise_to(peak, sidecars)
        else:
            _raise_to(peak, _sum(sidecars, _limits(container)))
    _add(total, sidecars)
    _raise_to(total, peak)
    total.update({name: amount for name, amount in _limits(spec).items() if amount and is_pod_level(name)})
    overhead = amounts(spec.get("overhead"))
    _add(total, {name: amount for name, amount in overhead.items() if total.get(name)})
    return {resource: amount for resource, amount in total.items() if amount}


def _limits(entry: Obj) -> Amounts:
    return amounts((entry.get("resources") or {}).get("limits"))


def is_pod_level(resource: str) -> bool:
    """Whether a resource can be asked for by a pod as a whole."""
    return resource in _POD_LEVEL or resource.startswith("hugepages-")


def _pod_level(spec: Obj, status: Obj | None, infeasible: bool) -> Amounts:
    """What the pod asks for as a whole, in place of its containers' sums. Source: KEP-2837."""
    asked = amounts((spec.get("resources") or {}).get("requests"))
    resized = (status or {}).get("resources")
    if asked and resized is not None:
        wanted = {} if infeasible else asked
        present = amounts(resized.get("requests"))
        allocated = amounts((status or {}).get("allocatedResources"))
        asked = {
            resource: max(each.get(resource, 0) for each in (wanted, present, allocated))
            for resource in asked
        }
    return {resource: amount for resource, amount in asked.items() if is_pod_level(resource)}


def _held(status: Obj) -> dict[str, Obj]:
    """Container name → its status, of those that tell their resources."""
    return {
        entry["name"]: entry
        for part in ("containerStatuses", "initContainerStatuses")
        for entry in status.get(part) or ()
        if entry.get("resources") is not None
    }


def _infeasible(status: Obj) -> bool:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodResizePending":
            return bool(condition.get("reason") == "Infeasible")
    return False


def _container(container: Obj, defaults: bool, held: Mapping[str, Obj], infeasible: bool) -> Amounts:
    asked = amounts((container.get("resources") or {}).get("requests"))
    if (found := held.get(container["name"])) is not None:
        wanted = {} if infeasible else asked
        asked = dict(wanted)
        _raise_to(asked, amounts(found["resources"].get("requests")))
        _raise_to(asked, amounts(found.get("allocatedResources")))
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
