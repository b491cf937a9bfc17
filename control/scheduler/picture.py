"""The nodes as the scheduler sees them, with what is placed on each. Changed by events and assumptions alone.

Invariant: a node's sums are those of exactly the costs in its `pods`. An assumed pod is there from the
decision on, so that the next decision sees it; the event of its binding then finds it there already. A node
that is only named by pods (its own object has not come, or is gone) is kept without being `present`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from podium.api.types import Obj
from podium.control.scheduler import requests
from podium.control.scheduler.needs import Cost, HostPort
from podium.control.scheduler.taints import Taint, taint

Amounts = dict[str, int]


@dataclass(slots=True)
class NodePicture:
    name: str
    present: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    hard_taints: tuple[Taint, ...] = ()
    soft_taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: Amounts = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)
    score_cpu: int = 0
    score_memory: int = 0
    pods: dict[str, Cost] = field(default_factory=dict)
    ports: dict[HostPort, int] = field(default_factory=dict)

    def place(self, uid: str, cost: Cost) -> None:
        self._count(cost, 1)
        self.pods[uid] = cost

    def remove(self, uid: str) -> None:
        self._count(self.pods.pop(uid), -1)

    def _count(self, cost: Cost, sign: int) -> None:
        for resource, amount in cost.requests:
            self.used[resource] = self.used.get(resource, 0) + sign * amount
        self.score_cpu += sign * cost.score_cpu
        self.score_memory += sign * cost.score_memory
        for port in cost.ports:
            left = self.ports.get(port, 0) + sign
            if left:
                self.ports[port] = left
            else:
                del self.ports[port]


class Picture:
    """All nodes, and where each pod is."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodePicture] = {}
        self._places: dict[str, str] = {}

    @property
    def present(self) -> list[NodePicture]:
        return [node for node in self.nodes.values() if node.present]

    def set_node(self, node: Obj) -> frozenset[str]:
        """Takes in a node's new state. Returns which of its aspects changed: added, labels, taints,
        resources."""
        name = node["metadata"]["name"]
        picture = self.nodes.setdefault(name, NodePicture(name))
        spec, status = node.get("spec") or {}, node.get("status") or {}
        labels = dict(node["metadata"].get("labels") or {})
        every = [taint(entry) for entry in spec.get("taints") or ()]
        hard = tuple(entry for entry in every if entry.effect != "PreferNoSchedule")
        soft = tuple(entry for entry in every if entry.effect == "PreferNoSchedule")
        allocatable = requests.amounts(status.get("allocatable") or status.get("capacity"))
        unschedulable = bool(spec.get("unschedulable"))
        changed = set()
        if not picture.present:
            changed.add("added")
        if labels != picture.labels:
            changed.add("labels")
        if (hard, unschedulable) != (picture.hard_taints, picture.unschedulable):
            changed.add("taints")
        if allocatable != picture.allocatable:
            changed.add("resources")
        picture.present = True
        picture.labels, picture.hard_taints, picture.soft_taints = labels, hard, soft
        picture.allocatable, picture.unschedulable = allocatable, unschedulable
        return frozenset(changed)

    def remove_node(self, name: str) -> None:
        """The node is gone; what is placed on it is kept until its pods are gone too."""
        picture = self.nodes.get(name)
        if picture is None:
            return
        if picture.pods:
            picture.present = False
        else:
            del self.nodes[name]

    def place(self, uid: str, node: str, cost: Cost) -> bool:
        """The pod is (or is assumed to be) on the node, and on no other. Doing it again changes nothing.
        Returns whether it gave back something that it had taken before."""
        old = self._places.get(uid)
        if old is not None:
            if old == node and self.nodes[old].pods[uid] == cost:
                return False
            self.remove(uid)
        self.nodes.setdefault(node, NodePicture(node)).place(uid, cost)
        self._places[uid] = node
        return old is not None

    def remove(self, uid: str) -> bool:
        """The pod takes nothing any more. Returns whether it did."""
        name = self._places.pop(uid, None)
        if name is None:
            return False
        node = self.nodes[name]
        node.remove(uid)
        if not node.pods and not node.present:
            del self.nodes[name]
        return True

    def node_of(self, uid: str) -> str | None:
        return self._places.get(uid)
