"""A pod as the scheduler sees it: what it costs a node, and what it asks of one. Made once per pod,
immutable."""

from __future__ import annotations

from dataclasses import dataclass

from podium.api.types import Obj
from podium.control.scheduler import affinity, requests, taints
from podium.control.scheduler.affinity import Preferred, Required
from podium.control.scheduler.taints import Toleration

DEFAULT_SCHEDULER = "default-scheduler"
HostPort = tuple[str, str, int]
"""(address, protocol, port); the address 0.0.0.0 stands for all."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a placed pod takes from its node. `score_*` count the defaults for containers that ask for
    nothing."""

    requests: tuple[tuple[str, int], ...]
    score_cpu: int
    score_memory: int
    ports: tuple[HostPort, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """A pod that waits for a node."""

    uid: str
    namespace: str
    name: str
    priority: int
    cost: Cost
    tolerations: tuple[Toleration, ...]
    required: Required
    preferred: tuple[Preferred, ...]
    only_nodes: frozenset[str] | None
    never_preempts: bool


def cost_of(spec: Obj) -> Cost:
    scored = requests.pod_requests(spec, defaults=True)
    return Cost(
        tuple(requests.pod_requests(spec).items()),
        scored.get("cpu", 0),
        scored.get("memory", 0),
        _host_ports(spec),
    )


def _host_ports(spec: Obj) -> tuple[HostPort, ...]:
    sidecars = [entry for entry in spec.get("initContainers") or () if entry.get("restartPolicy") == "Always"]
    return tuple(
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in (*(spec.get("containers") or ()), *sidecars)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def needs_of(pod: Obj) -> Needs:
    meta, spec = pod["metadata"], pod["spec"]
    wanted = affinity.required(spec)
    return Needs(
        uid=meta["uid"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        priority=spec.get("priority") or 0,
        cost=cost_of(spec),
        tolerations=taints.tolerations(spec),
        required=wanted,
        preferred=affinity.preferred(spec),
        only_nodes=wanted.names(),
        never_preempts=spec.get("preemptionPolicy") == "Never",
    )


def finished(pod: Obj) -> bool:
    """Whether the pod gave back what it took."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def waits(pod: Obj, scheduler_name: str = DEFAULT_SCHEDULER) -> bool:
    """Whether this scheduler is to find the pod a node, now."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and (spec.get("schedulerName") or DEFAULT_SCHEDULER) == scheduler_name
        and "deletionTimestamp" not in pod["metadata"]
        and not finished(pod)
    )
