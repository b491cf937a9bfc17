"""Who has to go when a node runs short of something, and in which words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj, quantity, taints
from podium.api.types.requests import pod_requests
from podium.runtime.eviction.thresholds import Threshold, binary, shown
from podium.runtime.eviction.watch import Observations
from podium.runtime.oci.resources import qos_class

EVICTED = "Evicted"
CRITICAL = 2_000_000_000
_SOURCE = "kubernetes.io/config.source"


class Used(NamedTuple):
    """What a pod uses of something: in all, and by container."""

    total: int
    containers: Mapping[str, int] = {}


def is_critical(pod: Obj) -> bool:
    """Whether the node is no use without the pod: static ones, and those of the system's priorities."""
    source = ((pod.get("metadata") or {}).get("annotations") or {}).get(_SOURCE, "api")
    return source != "api" or (pod["spec"].get("priority") or 0) >= CRITICAL


def ranked(pods: Sequence[Obj], used: Mapping[str, Used], resource: str) -> list[Obj]:
    """Who goes first: those that use more than they asked for, then by priority, then by how much more.
    `used` is by uid; of whom nothing is known goes before all. Process ids cannot be asked for."""

    def key(pod: Obj) -> tuple[bool, bool, int, int]:
        usage = used.get(pod["metadata"]["uid"])
        priority = pod["spec"].get("priority") or 0
        if usage is None:
            return False, False, priority, 0
        if resource == "pids":
            return True, False, priority, -usage.total
        asked = pod_requests(pod["spec"]).get(resource, 0)
        return True, usage.total <= asked, priority, asked - usage.total

    return sorted(pods, key=key)


def message(resource: str, pod: Obj, used: Used | None, met: Sequence[Threshold], seen: Observations) -> str:
    """Why the pod is ended."""
    text = f"The node was low on resource: {resource}. "
    for threshold in met:
        there = seen.get(threshold.signal)
        if threshold.resource == resource and there is not None:
            least = shown(threshold.amount.of(there.capacity), threshold.signal)
            available = shown(there.available, threshold.signal)
            text += f"Threshold quantity: {least}, available: {available}. "
            break
    if used is None or resource not in ("memory", "ephemeral-storage"):
        return text
    whole = ((pod["spec"].get("resources") or {}).get("requests") or {}).get(resource)
    if resource == "memory" and whole is not None:
        text += _larger("Pod", pod["metadata"]["name"], used.total, whole, resource)
    spec = pod["spec"]
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        request = ((container.get("resources") or {}).get("requests") or {}).get(resource, "0")
        usage = used.containers.get(container["name"])
        if usage is not None and usage > quantity.value(request):
            text += _larger("Container", container["name"], usage, request, resource)
    return text


def _larger(kind: str, name: str, usage: int, request: str, resource: str) -> str:
    return (
        f"{kind} {name} was using {binary(usage)}, request is {request}, "
        f"has larger consumption of {resource}. "
    )


def refusal(pod: Obj, conditions: frozenset[str]) -> str:
    """Why a node under pressure does not take a pod, "" when it does."""
    if not conditions or is_critical(pod):
        return ""
    if conditions == {"MemoryPressure"}:
        taint = taints.Taint("node.kubernetes.io/memory-pressure", "", "NoSchedule")
        if qos_class(pod) != "BestEffort" or taints.bears_all(taints.tolerations(pod["spec"]), [taint]):
            return ""
    return f"The node had condition: [{' '.join(sorted(conditions))}]. "
