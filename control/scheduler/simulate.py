"""Would these pods fit, and where? The scheduler's own decision on a picture made for the question: what
the node autoscaler asks before it adds or removes nodes.

Pure: no I/O, no clock, and the objects handed in are never changed. Building one costs about 20
microseconds per pod.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.storage import class_of
from podium.control.scheduler.decide import Decider, Rejection
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.labels import labels_of
from podium.control.scheduler.needs import DEFAULT_SCHEDULER, Needs, finished, needs_of, placed_of
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.profiles import SchedulerConfig
from podium.control.scheduler.storage import KnownStorage


class Unfit(NamedTuple):
    """No node has room. `message` is as in FailedScheduling events, `plugins` name the filters that
    refused."""

    message: str
    plugins: frozenset[str]


class Simulation:
    """A cluster that is only thought of. Of `pods` those count that are on a node and not finished."""

    def __init__(
        self,
        nodes: Iterable[Obj],
        pods: Iterable[Obj],
        *,
        namespaces: Iterable[Obj] = (),
        claims: Iterable[Obj] = (),
        volumes: Iterable[Obj] = (),
        classes: Iterable[Obj] = (),
        csi_nodes: Iterable[Obj] = (),
        config: SchedulerConfig | None = None,
    ) -> None:
        self._picture = Picture()
        self._storage = _listed(claims, volumes, classes, csi_nodes)
        profiles = (config or SchedulerConfig()).profiles
        self._deciders = {
            name: Decider(self._picture, profile, self._storage) for name, profile in profiles.items()
        }
        self._pods: dict[str, Obj] = {}
        for namespace in namespaces:
            meta = namespace["metadata"]
            self._picture.census.set_namespace(meta["name"], labels_of(meta))
        for node in nodes:
            self.add_node(node)
        for pod in pods:
            if (node_name := pod["spec"].get("nodeName")) and not finished(pod):
                self._put(pod, node_name)

    def add_node(self, node: Obj) -> None:
        """A node (or a template of one) whose name is new; its labels, taints and status.allocatable
        count."""
        self._picture.set_node(node)

    def remove_node(self, name: str) -> list[Obj]:
        """Takes a node out. Returns the pods that were on it, the most important first."""
        gone = self.pods_on(name)
        for pod in gone:
            self.unplace(pod)
        self._picture.remove_node(name)
        return sorted(gone, key=lambda pod: -(pod["spec"].get("priority") or 0))

    def place(self, pod: Obj, *, only: Collection[str] | None = None) -> str | Unfit:
        """Where the scheduler would put the pod (among the nodes named `only`), and leaves it there. Its own
        nodeName, gates and nomination do not count, and nobody is preempted."""
        needs = needs_of(pod)
        decision = self._decider(needs).decide(needs, only)
        if isinstance(decision, Rejection):
            return Unfit(decision.message, decision.plugins)
        self._put(pod, decision.node)
        if decision.volumes is not None:
            self._storage.promise(decision.volumes)
        return decision.node

    def fits(self, pod: Obj, node: str) -> tuple[str, ...]:
        """Why the pod cannot run on a node, () when it can."""
        needs = needs_of(pod)
        job = self._decider(needs).job(needs)
        if isinstance(job, Failure):
            return job.reasons
        failure = job.check(self._picture.nodes[node])
        return failure.reasons if failure is not None else ()

    def unplace(self, pod: Obj) -> None:
        """Takes a pod away from wherever it is."""
        uid = pod["metadata"]["uid"]
        self._picture.remove(uid)
        self._pods.pop(uid, None)

    def pods_on(self, name: str) -> list[Obj]:
        node = self._picture.nodes.get(name)
        return [self._pods[uid] for uid in node.pods] if node is not None else []

    def _put(self, pod: Obj, node: str) -> None:
        placed = placed_of(pod)
        self._picture.place(placed, node)
        self._pods[placed.uid] = pod

    def _decider(self, needs: Needs) -> Decider:
        found = self._deciders.get(needs.scheduler) or self._deciders.get(DEFAULT_SCHEDULER)
        return found or next(iter(self._deciders.values()))


def _listed(
    claims: Iterable[Obj], volumes: Iterable[Obj], classes: Iterable[Obj], csi_nodes: Iterable[Obj]
) -> KnownStorage:
    by_key = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in claims}
    by_name = {obj["metadata"]["name"]: obj for obj in volumes}
    by_class: dict[str, list[Obj]] = {}
    for volume in by_name.values():
        by_class.setdefault(class_of(volume), []).append(volume)
    return KnownStorage(
        claim=lambda namespace, name: by_key.get((namespace, name)),
        volume=by_name.get,
        storage_class={obj["metadata"]["name"]: obj for obj in classes}.get,
        of_class=lambda name: by_class.get(name, ()),
        csi_node={obj["metadata"]["name"]: obj for obj in csi_nodes}.get,
    )
