"""Keeps the status of every PodDisruptionBudget; the eviction subresource decides by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of, name_of, namespace_of, split_key
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
from podium.control.disruptions.budgets import (
    Unknown,
    asks_workloads,
    failed,
    next_expiry,
    overdue,
    status,
    unmanaged,
)
from podium.control.disruptions.scales import Scales

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
        self.scales = Scales(
            context.client,
            {(entry.api_version, entry.kind): self.watch(entry, self._scaled) for entry in scaling},
        )

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in self._covering(old, new):
            self.queue.add_after(key, BATCH)
        covering = self._covering(new) if old is None and new is not None and not deleting(new) else set()
        if new is not None and len(covering) > 1:
            name = split_key(min(covering))[1]
            message = (
                f'Pod "{namespace_of(new)}"/"{name_of(new)}" matches multiple PodDisruptionBudgets.  '
                f'Chose "{name}" arbitrarily.'
            )
            self.recorder.event(new, "Warning", "MultiplePodDisruptionBudgets", message)

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
        pods = self.pods.selected(selector, namespace)
        self._tell(budget, pods, now)
        try:
            workloads = await self.scales.of(pods) if asks_workloads(budget["spec"]) else {}
            wanted = status(budget, pods, workloads, now)
        except (Unknown, StatusError) as error:
            why = error.message if isinstance(error, StatusError) else str(error)
            message = f"Failed to calculate the number of expected pods: {why}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            wanted = failed(budget, why, now)
        await self.write_status(POD_DISRUPTION_BUDGETS, budget, wanted)
        if (wait := next_expiry(wanted, now)) is not None:
            self.queue.add_after(key, wait)

    def _tell(self, budget: Obj, pods: Sequence[Obj], now: datetime) -> None:
        if not pods:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        if unmanaged(budget["spec"], pods):
            selector = _shown(budget["spec"].get("selector") or {})
            message = (
                f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be "
                "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
                'result in undefined behavior. To account for these pods please set ".spec.minAvailable" '
                "field of the PDB to an integer value."
            )
            self.recorder.event(budget, "Warning", "UnmanagedPods", message)
        for pod in overdue(budget, pods, now):
            place = namespace_of(budget)
            message = f"Pod was expected by PDB {place}/{name_of(budget)} to be deleted but it wasn't"
            self.recorder.event(pod, "Warning", "NotDeleted", message)


def _shown(selector: Obj) -> str:
    """As events show a label selector."""
    labels = " ".join(f"{key}:{value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = " ".join(
        f"{{{entry['key']} {entry['operator']} [{' '.join(entry.get('values') or ())}]}}"
        for entry in selector.get("matchExpressions") or ()
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[{expressions}],}}"
