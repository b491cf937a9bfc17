"""What pods mean for the number of nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.meta import condition, controller_of, deleting, namespace_of
from podium.api.types.selectors import from_label_selector
from podium.control.pods import is_finished, of_daemon

SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
SYSTEM = "kube-system"
PENDING = "waits for room"


def waits_for_room(pod: Obj) -> bool:
    """Whether a new node could help: the scheduler found no place, and none will become free for it."""
    if pod["spec"].get("nodeName") or deleting(pod) or is_finished(pod) or of_daemon(pod):
        return False
    if (pod.get("status") or {}).get("nominatedNodeName"):
        return False
    found = condition(pod, "PodScheduled")
    return found is not None and (found.get("status"), found.get("reason")) == ("False", "Unschedulable")


def by_need(pod: Obj) -> Iterable[str]:
    """The indexer PENDING: the few that wait for room."""
    return (PENDING,) if waits_for_room(pod) else ()


def movable(pods: Sequence[Obj]) -> list[Obj]:
    """Those of a node's pods that have to run elsewhere when it goes."""
    return [pod for pod in pods if not of_daemon(pod) and not is_finished(pod) and not deleting(pod)]


def keeps_node(pod: Obj, budgets: Sequence[Obj]) -> str:
    """Why a pod must not be moved; "" when it may."""
    answer = (pod["metadata"].get("annotations") or {}).get(SAFE)
    if answer == "false":
        return "NotSafeToEvictAnnotation"
    covering = [budget for budget in budgets if _covers(budget, pod)]
    if answer != "true":
        if controller_of(pod) is None:
            return "NotReplicated"
        if namespace_of(pod) == SYSTEM and not covering:
            return "UnmovableKubeSystemPod"
        if any("emptyDir" in volume or "hostPath" in volume for volume in pod["spec"].get("volumes") or ()):
            return "LocalStorageRequested"
    if any((budget.get("status") or {}).get("disruptionsAllowed", 0) < 1 for budget in covering):
        return "NotEnoughPdb"
    return ""


def _covers(budget: Obj, pod: Obj) -> bool:
    return namespace_of(budget) == namespace_of(pod) and from_label_selector(
        budget["spec"].get("selector")
    ).matches(pod["metadata"].get("labels"))
