"""What a node has promised its pods: cpu and memory as they were when a pod was admitted or its last resize
was taken. Pure.

A pod that is resized asks for something else than it was promised until the node has taken the resize;
everything on the node goes by the promise. Source: KEP-1287, KEP-5419.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from podium.api.types import Obj, quantity
from podium.api.types.requests import pod_requests

_LISTS = ("initContainers", "containers")
_AMOUNTS = ("cpu", "memory")


class Sizes(NamedTuple):
    """CPU in thousandths, memory in bytes."""

    cpu_request: int
    cpu_limit: int
    memory_request: int
    memory_limit: int


def sizes(resources: Obj | None) -> Sizes:
    """Of ResourceRequirements."""
    requests, limits = ((resources or {}).get(key) or {} for key in ("requests", "limits"))
    return Sizes(
        quantity.milli(requests.get("cpu", "0")),
        quantity.milli(limits.get("cpu", "0")),
        quantity.value(requests.get("memory", "0")),
        quantity.value(limits.get("memory", "0")),
    )


def of(pod: Obj) -> Obj:
    """The promise that gives a pod all it asks for: `pod` (None where it does not ask as a whole) and
    `containers` by name."""
    spec = pod["spec"]
    containers = {each["name"]: each.get("resources") or {} for key in _LISTS for each in spec.get(key) or ()}
    return {"pod": spec.get("resources"), "containers": containers}


def applied(pod: Obj, promise: Obj | None) -> Obj:
    """The pod with what it was promised in place of what it asks for: itself where that is the same."""
    if promise is None or of(pod) == promise:
        return pod
    spec = dict(pod["spec"])
    for key in _LISTS:
        if key in spec:
            spec[key] = [_given(each, promise["containers"]) for each in spec[key]]
    if promise["pod"] is None:
        spec.pop("resources", None)
    else:
        spec["resources"] = promise["pod"]
    return {**pod, "spec": spec}


def _given(container: Obj, promised: Obj) -> Obj:
    if container["name"] not in promised:
        return container
    return {**container, "resources": promised[container["name"]]}


def grows(wanted: Obj, allocated: Obj) -> bool:
    """Whether a resize asks for more cpu or memory (both are pods)."""
    asked, had = pod_requests(wanted["spec"]), pod_requests(allocated["spec"])
    return any(asked.get(name, 0) > had.get(name, 0) for name in _AMOUNTS)


def rank(wanted: Obj, allocated: Obj, since: str) -> tuple[bool, int, bool, bool, str]:
    """The order in which waiting resizes are looked at: those that do not grow, then by priority, Guaranteed
    ones, the longest waiting. `since` is when the resize was deferred, "" for one that is new."""
    status = wanted.get("status") or {}
    guaranteed = status.get("qosClass") == "Guaranteed"
    priority = wanted["spec"].get("priority") or 0
    return grows(wanted, allocated), -priority, not guaranteed, not since, since


def summary(prefix: str, pod: Obj, generation: int, error: str = "") -> str:
    """The message of an event about a resize."""
    spec = pod["spec"]
    told: Obj = {}
    for key in _LISTS:
        if entries := spec.get(key):
            told[key] = [{"name": each["name"], "resources": _ordered(each)} for each in entries]
    told["generation"] = generation
    if error:
        told["error"] = error
    return f"{prefix}: {orjson.dumps(told).decode()}"


def _ordered(container: Obj) -> Obj:
    resources = container.get("resources") or {}
    return {key: dict(sorted(resources[key].items())) for key in ("limits", "requests") if resources.get(key)}
