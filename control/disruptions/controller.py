"""Keeps the status of every PodDisruptionBudget; the eviction subresource decides by it."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, namespace_of, split_key
from podium.api.types.resources import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from podium.api.types.selectors import from_label_selector
from podium.control.controller import Context, Controller, own_key
from podium.control.disruptions.budgets import Unknown, failed, next_expiry, status

BATCH = 0.05  # seconds that changes of pods are gathered


class DisruptionController(Controller):
    name = "disruption-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("controllermanager")
        self.budgets = self.watch(POD_DISRUPTION_BUDGETS, own_key)
        self.pods = self.watch(PODS)
        self.pods.add_handler(self._pod_changed)
        scaling = (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)
        self.scaled = {resource.kind: self.watch(resource, self._scaled) for resource in scaling}

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in self._covering(old, new):
            self.queue.add_after(key, BATCH)

    def _covering(self, *pods: Obj | None) -> set[str]:
        """The budgets that select one of the pods."""
        return {
            key_of(budget)
            for pod in pods
            if pod is not None
            for budget in self.budgets.list(namespace_of(pod))
            if from_label_selector(budget["spec"].get("selector")).matches(pod["metadata"].get("labels"))
        }

    def _scaled(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """A workload that wants another number of pods."""
        if old is None or new is None or old["spec"].get("replicas") == new["spec"].get("replicas"):
            return ()
        return [key_of(budget) for budget in self.budgets.list(namespace_of(new))]

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        budget = self.budgets.get(name, namespace)
        if budget is None or deleting(budget):
            return
        now = self.context.now()
        selector = from_label_selector(budget["spec"].get("selector"))
        pods = [pod for pod in self.pods.list(namespace) if selector.matches(pod["metadata"].get("labels"))]
        if not pods:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            wanted = status(budget, pods, self._scale, now)
        except Unknown as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            wanted = failed(budget, str(error), now)
        if wanted != (budget.get("status") or {}):
            await self._write(budget, wanted)
        if (wait := next_expiry(wanted, now)) is not None:
            self.queue.add_after(key, wait)

    def _scale(self, pod: Obj, owner: Obj) -> int | None:
        """What the pod's workload wants; a ReplicaSet's Deployment speaks for it, since in a rollout the
        sets change all the time."""
        found = self._workload(namespace_of(pod), owner)
        if found is None:
            return None
        above = controller_of(found)
        if above is not None and (parent := self._workload(namespace_of(pod), above)) is not None:
            found = parent
        return int(found["spec"].get("replicas", 1))

    def _workload(self, namespace: str, owner: Obj) -> Obj | None:
        informer = self.scaled.get(owner["kind"])
        found = informer.get(owner["name"], namespace) if informer else None
        return found if found is not None and found["metadata"]["uid"] == owner["uid"] else None

    async def _write(self, budget: Obj, wanted: Obj) -> None:
        try:
            await self.client.update(
                POD_DISRUPTION_BUDGETS, {**budget, "status": wanted}, subresource="status"
            )
        except StatusError as error:
            if error.code != 404:
                raise
