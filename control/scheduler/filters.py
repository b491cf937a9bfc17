"""Can this pod run on that node? The filters that look at nothing but the node itself, in their order; the
first that says no ends it.

Source of the reasons: the scheduler's events as users meet them in `kubectl describe pod`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from podium.api.types.taints import UNSCHEDULABLE, bears_all
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Footprint, HostPort
from podium.control.scheduler.picture import NodePicture
from podium.control.scheduler.profiles import FILTERS, Profile

Filter: TypeAlias = Callable[[Footprint, NodePicture, Profile], "Failure | None"]

_UNSCHEDULABLE = Failure("NodeUnschedulable", ("node(s) were unschedulable",))
_TAINT = Failure("TaintToleration", ("node(s) had untolerated taint(s)",))
AFFINITY = Failure("NodeAffinity", ("node(s) didn't match Pod's node affinity/selector",))
_ENFORCED = Failure("NodeAffinity", ("node(s) didn't match scheduler-enforced node affinity",))
_PORTS = Failure(
    "NodePorts", ("node(s) didn't have free ports for the requested pod ports",), resolvable=True
)


def unschedulable(pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    if node.unschedulable and not bears_all(pod.tolerations, (UNSCHEDULABLE,)):
        return _UNSCHEDULABLE
    return None


def taints(pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    if node.hard_taints and not bears_all(pod.tolerations, node.hard_taints):
        return _TAINT
    return None


def affinity(pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    added = profile.added_affinity
    if added is not None and not added.matches(node.name, node.labels):
        return _ENFORCED
    return None if pod.required.matches(node.name, node.labels) else AFFINITY


def ports(pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    wanted = pod.cost.ports
    if wanted and node.ports and any(taken(port, node.ports) for port in wanted):
        return _PORTS
    return None


def taken(wanted: HostPort, used: dict[HostPort, int]) -> bool:
    address, protocol, number = wanted
    if address != "0.0.0.0":
        return wanted in used or ("0.0.0.0", protocol, number) in used
    return any(number == other and protocol == same for _, same, other in used)


def resources(pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    allocatable, used = node.allocatable, node.used
    lacking: list[str] = []
    resolvable = True
    if len(node.pods) + 1 > allocatable.get("pods", 0):
        lacking.append("Too many pods")
    for resource, amount in pod.cost.requests:
        room = allocatable.get(resource, 0)
        if amount > room - used.get(resource, 0) and not profile.fit.ignores(resource):
            lacking.append(f"Insufficient {resource}")
            resolvable = resolvable and amount <= room
    return Failure("NodeResourcesFit", tuple(lacking), resolvable) if lacking else None


_BY_NAME: dict[str, Filter] = {
    "NodeUnschedulable": unschedulable,
    "TaintToleration": taints,
    "NodeAffinity": affinity,
    "NodePorts": ports,
    "NodeResourcesFit": resources,
}


def local_filters(profile: Profile) -> tuple[Filter, ...]:
    """The profile's filters of this module, in order."""
    return tuple(_BY_NAME[name] for name in FILTERS if name in profile.filters and name in _BY_NAME)


def check(filters: tuple[Filter, ...], pod: Footprint, node: NodePicture, profile: Profile) -> Failure | None:
    """The first filter's failure, None for a node on which the pod can run."""
    for filter_ in filters:
        failure = filter_(pod, node, profile)
        if failure is not None:
            return failure
    return None
