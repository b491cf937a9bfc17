"""The nodes as the scheduler sees them, with what is placed on each. Changed by events and assumptions alone.

Invariant: a node's sums, and the census, are those of exactly the pods in the nodes' `pods`. An assumed pod
is there from the decision on, so that the next decision sees it; the event of its binding then finds it
there already. A node that is only named by pods (its own object has not come, or is gone) is kept without
being `present`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.types import Obj, requests
from podium.api.types.taints import Taint, taint
from podium.control.scheduler.census import Census, Domain, Group, Use, View
from podium.control.scheduler.labels import NONE, Labels, labels_of
from podium.control.scheduler.needs import Cost, HostPort, Placed, normalised_image
from podium.control.scheduler.terms import ZONE

Amounts = dict[str, int]


class Facts(NamedTuple):
    """What a Node object says that matters here."""

    labels: Labels = NONE
    hard_taints: tuple[Taint, ...] = ()
    soft_taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: Amounts = {}  # noqa: RUF012
    images: tuple[tuple[str, int], ...] = ()


class NodeChange(NamedTuple):
    """A node's facts before and after; None where it was not, or is no more."""

    name: str
    old: Facts | None
    new: Facts | None


@dataclass(slots=True, eq=False)
class NodePicture:
    """`version` changes with everything that is in here."""

    name: str
    present: bool = False
    labels: Labels = NONE
    hard_taints: tuple[Taint, ...] = ()
    soft_taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: Amounts = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)
    score_cpu: int = 0
    score_memory: int = 0
    pods: dict[str, Placed] = field(default_factory=dict)
    ports: dict[HostPort, int] = field(default_factory=dict)
    version: int = 0

    @property
    def facts(self) -> Facts:
        return Facts(
            self.labels,
            self.hard_taints,
            self.soft_taints,
            self.unschedulable,
            self.allocatable,
            tuple(self.images.items()),
        )

    def take(self, facts: Facts) -> None:
        self.labels, self.hard_taints, self.soft_taints = facts.labels, facts.hard_taints, facts.soft_taints
        self.unschedulable, self.allocatable = facts.unschedulable, facts.allocatable
        self.images = dict(facts.images)
        self.present = True

    def place(self, pod: Placed) -> None:
        self._count(pod.cost, 1)
        self.pods[pod.uid] = pod

    def remove(self, uid: str) -> Placed:
        pod = self.pods.pop(uid)
        self._count(pod.cost, -1)
        return pod

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


def facts_of(node: Obj) -> Facts:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    every = [taint(entry) for entry in spec.get("taints") or ()]
    return Facts(
        labels_of(node["metadata"]),
        tuple(entry for entry in every if entry.effect != "PreferNoSchedule"),
        tuple(entry for entry in every if entry.effect == "PreferNoSchedule"),
        bool(spec.get("unschedulable")),
        requests.amounts(status.get("allocatable") or status.get("capacity")),
        tuple(
            (normalised_image(name), entry.get("sizeBytes") or 0)
            for entry in status.get("images") or ()
            for name in entry.get("names") or ()
        ),
    )


class Picture:
    """All nodes, and where each pod is. `epoch` changes with every fact about any node."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodePicture] = {}
        self.census = Census()
        self.nominations: dict[str, dict[str, Placed]] = {}
        self.leaving: set[str] = set()
        """Uids of placed pods whose eviction was asked for and may not show yet."""
        self.claims: Counter[str] = Counter()
        self.image_nodes: Counter[str] = Counter()
        self.priorities: Counter[int] = Counter()
        self.soft_taints = 0
        self.epoch = 0
        self._places: dict[str, str] = {}
        self._nominated: dict[str, str] = {}
        self._order: list[NodePicture] | None = None
        self._versions = itertools.count(1)

    @property
    def present(self) -> list[NodePicture]:
        """The nodes there are, neighbours in different zones where there are zones."""
        if self._order is None:
            zones: dict[str, list[NodePicture]] = {}
            for node in self.nodes.values():
                if node.present:
                    zones.setdefault(node.labels.get(ZONE, ""), []).append(node)
            rows = itertools.zip_longest(*zones.values())
            self._order = [node for row in rows for node in row if node is not None]
        return self._order

    def set_node(self, node: Obj) -> NodeChange | None:
        """Takes in a node's state. Returns what changed, None when nothing here is concerned."""
        name = node["metadata"]["name"]
        picture = self.nodes.get(name)
        if picture is None:
            picture = self.nodes[name] = NodePicture(name)
        old = picture.facts if picture.present else None
        new = facts_of(node)
        if old == new:
            return None
        self._leave(picture)
        picture.take(new)
        self._enter(picture)
        return NodeChange(name, old, new)

    def remove_node(self, name: str) -> NodeChange | None:
        """The node is gone; what is placed on it is kept until its pods are gone too."""
        picture = self.nodes.get(name)
        if picture is None or not picture.present:
            return None
        old = picture.facts
        self._leave(picture)
        picture.present = False
        self._touched(picture)
        if not picture.pods:
            del self.nodes[name]
        return NodeChange(name, old, None)

    def _leave(self, node: NodePicture) -> None:
        if node.present:
            self.image_nodes.subtract(node.images.keys())
            self.soft_taints -= len(node.soft_taints)

    def _enter(self, node: NodePicture) -> None:
        self.image_nodes.update(node.images.keys())
        self.soft_taints += len(node.soft_taints)
        self._touched(node)

    def _touched(self, node: NodePicture) -> None:
        node.version = next(self._versions)
        self.epoch += 1
        self._order = None

    def place(self, pod: Placed, node: str) -> Placed | None:
        """The pod is (or is assumed to be) on the node, and on no other. Doing it again changes nothing.
        Returns how it was placed before, where that differs."""
        place = self._places.get(pod.uid)
        old = None
        if place is not None:
            old = self.nodes[place].pods[pod.uid]
            if place == node and old == pod:
                return None
            leaving = pod.uid in self.leaving
            self.remove(pod.uid)
            if leaving:
                self.leaving.add(pod.uid)
        picture = self.nodes.get(node)
        if picture is None:
            picture = self.nodes[node] = NodePicture(node)
        self._places[pod.uid] = node
        self._put(pod, picture)
        return old

    def remove(self, uid: str) -> Placed | None:
        """The pod takes nothing any more. Returns how it was placed."""
        name = self._places.pop(uid, None)
        if name is None:
            return None
        self.leaving.discard(uid)
        node = self.nodes[name]
        pod = self._pull(uid, node)
        if not node.pods and not node.present:
            del self.nodes[name]
        if any(pod.terms):
            self.census.prune()
        return pod

    def _put(self, pod: Placed, node: NodePicture) -> None:
        node.place(pod)
        node.version = next(self._versions)
        self.census.change(pod, node.name, 1)
        self.priorities[pod.priority] += 1
        for claim in pod.claims:
            self.claims[claim] += 1

    def _pull(self, uid: str, node: NodePicture) -> Placed:
        pod = node.remove(uid)
        node.version = next(self._versions)
        self.census.change(pod, node.name, -1)
        self.priorities[pod.priority] -= 1
        if not self.priorities[pod.priority]:
            del self.priorities[pod.priority]
        for claim in pod.claims:
            self.claims[claim] -= 1
            if not self.claims[claim]:
                del self.claims[claim]
        return pod

    @contextmanager
    def supposing(self, node: NodePicture, pods: Iterable[Placed]) -> Iterator[None]:
        """As if `pods`, which are nowhere, were on the node."""
        held = list(pods)
        for pod in held:
            self._put(pod, node)
        try:
            yield
        finally:
            for pod in held:
                self._pull(pod.uid, node)

    @contextmanager
    def trying(self, node: NodePicture) -> Iterator[Trial]:
        """Pods may be taken from the node and put back, which all ends with the block."""
        trial = Trial(self, node)
        try:
            yield trial
        finally:
            trial.undo()

    def node_of(self, uid: str) -> str | None:
        return self._places.get(uid)

    def pod(self, uid: str) -> Placed | None:
        name = self._places.get(uid)
        return self.nodes[name].pods[uid] if name is not None else None

    def nominate(self, pod: Placed, node: str) -> None:
        """`pod` is expected on `node`; "" takes a nomination back."""
        old = self._nominated.pop(pod.uid, "")
        if old:
            waiting = self.nominations[old]
            del waiting[pod.uid]
            if not waiting:
                del self.nominations[old]
        if node:
            self._nominated[pod.uid] = node
            self.nominations.setdefault(node, {})[pod.uid] = pod

    def nominated(self, uid: str) -> str:
        return self._nominated.get(uid, "")

    def forget_nomination(self, uid: str) -> None:
        if node := self._nominated.get(uid):
            self.nominate(self.nominations[node][uid], "")

    def group_view(self, group: Group, domain: Domain) -> View:
        tally = self.census.tally(group)
        return tally.view(domain, lambda: self.present, self.epoch)

    def use_view(self, use: Use) -> View:
        domain = Domain(use.term.topology)
        return self.census.uses[use].view(domain, lambda: self.present, self.epoch)


class Trial:
    """Pods taken away from one node for a moment."""

    def __init__(self, picture: Picture, node: NodePicture) -> None:
        self._picture, self._node = picture, node
        self._away: dict[str, Placed] = {}

    def take(self, pod: Placed) -> None:
        self._picture._pull(pod.uid, self._node)
        self._away[pod.uid] = pod

    def put_back(self, pod: Placed) -> None:
        del self._away[pod.uid]
        self._picture._put(pod, self._node)

    def undo(self) -> None:
        for pod in [*self._away.values()]:
            self.put_back(pod)
