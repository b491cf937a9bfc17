"""Can this pod run on that node? Plain functions in upstream's order; the first that says no ends it.

Source of the reasons: the scheduler's events as users meet them in `kubectl describe pod`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from podium.control.scheduler.needs import HostPort, Needs
from podium.control.scheduler.picture import NodePicture
from podium.control.scheduler.taints import UNSCHEDULABLE, bears_all


class Failure(NamedTuple):
    """Why not. `plugin` names the filter, for who waits for what; `resolvable` whether fewer pods on the node
    would help."""

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool = False


Filter: TypeAlias = Callable[[Needs, NodePicture], "Failure | None"]

_UNSCHEDULABLE = Failure("unschedulable", ("node(s) were unschedulable",))
_TAINT = Failure("taints", ("node(s) had untolerated taint(s)",))
_AFFINITY = Failure("affinity", ("node(s) didn't match Pod's node affinity/selector",))
_PORTS = Failure("ports", ("node(s) didn't have free ports for the requested pod ports",), resolvable=True)


def unschedulable(needs: Needs, node: NodePicture) -> Failure | None:
    if node.unschedulable and not bears_all(needs.tolerations, (UNSCHEDULABLE,)):
        return _UNSCHEDULABLE
    return None


def taints(needs: Needs, node: NodePicture) -> Failure | None:
    if node.hard_taints and not bears_all(needs.tolerations, node.hard_taints):
        return _TAINT
    return None


def affinity(needs: Needs, node: NodePicture) -> Failure | None:
    return None if needs.required.matches(node.name, node.labels) else _AFFINITY


def ports(needs: Needs, node: NodePicture) -> Failure | None:
    wanted = needs.cost.ports
    if wanted and node.ports and any(_taken(port, node.ports) for port in wanted):
        return _PORTS
    return None


def _taken(wanted: HostPort, used: dict[HostPort, int]) -> bool:
    address, protocol, number = wanted
    if address != "0.0.0.0":
        return wanted in used or ("0.0.0.0", protocol, number) in used
    return any(number == other and protocol == same for _, same, other in used)


def resources(needs: Needs, node: NodePicture) -> Failure | None:
    allocatable, used = node.allocatable, node.used
    lacking: list[str] = []
    resolvable = True
    if len(node.pods) + 1 > allocatable.get("pods", 0):
        lacking.append("Too many pods")
    for resource, amount in needs.cost.requests:
        room = allocatable.get(resource, 0)
        if amount > room - used.get(resource, 0):
            lacking.append(f"Insufficient {resource}")
            resolvable = resolvable and amount <= room
    return Failure("resources", tuple(lacking), resolvable) if lacking else None


FILTERS: tuple[Filter, ...] = (unschedulable, taints, affinity, ports, resources)


def check(needs: Needs, node: NodePicture) -> Failure | None:
    """The first filter's failure, None for a node on which the pod can run."""
    for filter_ in FILTERS:
        failure = filter_(needs, node)
        if failure is not None:
            return failure
    return None
