"""The DaemonSet controller: sees, plans, carries the plan out, writes the status."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, name_of, namespace_of, split_key
from podium.api.types.resources import DAEMON_SETS, NODES, PODS
from podium.api.types.selectors import from_label_selector
from podium.control.claims import Claimer
from podium.control.controller import Context, Controller, own_key, owner_key
from podium.control.daemons import status
from podium.control.daemons.backoff import FailureBackoff
from podium.control.daemons.placement import pinned, placement, tolerations
from podium.control.daemons.plan import GENERATION_LABEL, Seen, Work, place, roll, template_generation
from podium.control.expectations import Expectations
from podium.control.history.history import History, Known
from podium.control.history.revisions import POD_LABEL
from podium.control.podrequests import PodRequests
from podium.control.pods import BY_CONTROLLER, by_controller, controlled, from_template, orphans, phase

BURST = 250  # pods created or deleted in one go
GATHER = 0.0005  # seconds, for each node, that changes of pods are gathered: each look is at all nodes


class DaemonSetController(Controller):
    name = "daemonset-controller"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self._claimer = Claimer(context.client, DAEMON_SETS, PODS)
        self._expectations = Expectations()
        self._requests = PodRequests(context.client, self.recorder, self._expectations)
        self._backoff = FailureBackoff()
        self.history = History(self, DAEMON_SETS, POD_LABEL)
        self.sets = self.watch(DAEMON_SETS, own_key)
        self.history.serve(self.sets)
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})
        self.nodes = self.watch(NODES, self._node_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for pod in (old, new):
            if pod is not None and (key := owner_key(pod, DAEMON_SETS.kind)):
                if old is None and not deleting(pod):
                    self._expectations.created(key)
                if new is None or deleting(pod):
                    self._expectations.deleted(key, pod["metadata"]["uid"])
                self.queue.add_after(key, GATHER * len(self.nodes.list()))
        if new is not None and controller_of(new) is None and not deleting(new):
            yield from self._adopters(new)

    def _adopters(self, pod: Obj) -> Iterable[str]:
        labels = pod["metadata"].get("labels")
        for owner in self.sets.list(namespace_of(pod)) if labels else ():
            selector = from_label_selector(owner["spec"].get("selector"))
            if not selector.everything and selector.matches(labels):
                yield key_of(owner)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """The DaemonSets whose mind about a node changes with it."""
        if old is not None and new is not None and _traits(old) == _traits(new):
            return
        for owner in self.sets.list():
            judge = placement(owner).judge
            if old is None or new is None or judge(old) != judge(new):
                yield key_of(owner)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        daemon_set = self.sets.get(name, namespace)
        if daemon_set is None:
            self._expectations.forget(key)
            return
        selector = from_label_selector(daemon_set["spec"].get("selector"))
        if selector.everything:
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self.recorder.event(daemon_set, "Warning", "SelectingAll", message)
            return
        if deleting(daemon_set):
            return  # its pods are the garbage collector's
        known = await self.history.sync(daemon_set)
        satisfied = self._expectations.satisfied(key)
        candidates = [*controlled(self.pods, daemon_set), *orphans(self.pods, namespace)]
        pods = await self._claimer.claim(daemon_set, selector, candidates)
        mark = known.current["metadata"]["labels"][POD_LABEL]
        seen = Seen(daemon_set, self.nodes.list(), pods, mark, self.context.now())
        await self._unite(known, pods)
        failure = await self._advance(key, seen) if satisfied else None
        calculated = status.calculate(seen, known.collisions, observed=satisfied)
        await self.write_status(DAEMON_SETS, daemon_set, calculated)
        if failure is not None:
            raise failure
        await self._trim(daemon_set, known, pods)
        if wait := status.next_check(seen):
            self.queue.add_after(key, wait)

    async def _advance(self, key: str, seen: Seen) -> StatusError | None:
        work = place(seen, lambda pod, node: self._may_retry(key, seen, node)) or roll(seen)
        if not work:
            return None
        self._tell(seen.daemon_set, work)
        nodes, pods = work.nodes[:BURST], work.pods[:BURST]
        uids = [pod["metadata"]["uid"] for pod in pods]
        self._expectations.expect(key, creations=len(nodes), deletions=uids)
        _, failure = await self._requests.create(seen.daemon_set, _pods_for(seen, nodes))
        results = await asyncio.gather(*(self._requests.delete(seen.daemon_set, pod) for pod in pods))
        return failure or next((result for result in results if result is not None), None)

    def _may_retry(self, key: str, seen: Seen, node: str) -> bool:
        """Whether a failed pod is replaced now; if not, the set is looked at again when it is to be."""
        generation = (seen.daemon_set.get("status") or {}).get("observedGeneration", 0)
        about = (seen.daemon_set["metadata"]["uid"], generation, node)
        if left := self._backoff.left(about, seen.now):
            self.queue.add_after(key, left)
            return False
        self._backoff.note(about, seen.now)
        return True

    def _tell(self, daemon_set: Obj, work: Work) -> None:
        for pod in work.pods:
            where = f"daemon pod {key_of(pod)} on node {pod['spec'].get('nodeName', '')}"
            if phase(pod) == "Failed":
                message = f"Found failed {where}, will try to kill it"
                self.recorder.event(daemon_set, "Warning", "FailedDaemonPod", message)
            elif phase(pod) == "Succeeded":
                message = f"Found succeeded {where}, will try to delete it"
                self.recorder.event(daemon_set, "Normal", "SucceededDaemonPod", message)

    async def _unite(self, known: Known, pods: Sequence[Obj]) -> None:
        """Two revisions of one template become one; pods that name the other are labelled anew."""
        if not known.twins:
            return
        marks = {(entry["metadata"].get("labels") or {}).get(POD_LABEL) for entry in known.twins}
        label = {"metadata": {"labels": {POD_LABEL: known.current["metadata"]["labels"][POD_LABEL]}}}
        for pod in pods:
            if (pod["metadata"].get("labels") or {}).get(POD_LABEL) in marks:
                await self.client.patch(PODS, name_of(pod), label, namespace_of(pod))
        await self.history.remove(known.twins)

    async def _trim(self, daemon_set: Obj, known: Known, pods: Sequence[Obj]) -> None:
        marks = {(pod["metadata"].get("labels") or {}).get(POD_LABEL) for pod in pods}
        live = {name_of(entry) for entry in known.olds if entry["metadata"]["labels"].get(POD_LABEL) in marks}
        await self.history.trim(daemon_set, known.olds, live)


def _pods_for(seen: Seen, nodes: Sequence[str]) -> list[Obj]:
    pod = new_pod(seen.daemon_set, seen.hash)
    return [{**pod, "spec": {**pod["spec"], "affinity": pinned(pod["spec"], node)}} for node in nodes]


def new_pod(daemon_set: Obj, mark: str) -> Obj:
    """A pod of the present template, for any node."""
    pod = from_template(daemon_set["spec"]["template"], daemon_set)
    labels = {**(pod["metadata"].get("labels") or {}), POD_LABEL: mark}
    if generation := template_generation(daemon_set):
        labels[GENERATION_LABEL] = generation
    spec = {**pod["spec"], "tolerations": tolerations(pod["spec"])}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": spec}


def _traits(node: Obj) -> tuple[object, object]:
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")
