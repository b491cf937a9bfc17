"""Which nodes nobody needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.requests import amounts, pod_requests
from podium.control.nodescaling.pods import keeps_node, movable
from podium.control.pods import is_finished, of_daemon
from podium.control.scheduler.simulate import Simulation, Unfit

DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
# A node of which less is asked for than this share is a candidate.
THRESHOLD = 0.5
_COUNTED = ("cpu", "memory")


class Cluster(NamedTuple):
    """`nodes` are those that can run pods. `groups`: the group of each node that may go, `spare`: how many
    may go from each group."""

    nodes: Sequence[Obj]
    pods: Mapping[str, Sequence[Obj]]
    budgets: Sequence[Obj]
    groups: Mapping[str, str]
    spare: Mapping[str, int]


class Verdicts(NamedTuple):
    """`unneeded` in the order in which they may go, one after the other; `kept`: why the others stay."""

    unneeded: Sequence[str]
    kept: Mapping[str, str]


def unneeded(cluster: Cluster, simulate: Callable[[], Simulation], threshold: float = THRESHOLD) -> Verdicts:
    """The nodes that can go together: the pods of each fit on what is left. The emptiest go first."""
    kept: dict[str, str] = {}
    candidates = []
    for node in cluster.nodes:
        name = node["metadata"]["name"]
        pods = cluster.pods.get(name, ())
        if why := _stays(node, pods, cluster, threshold):
            kept[name] = why
        else:
            candidates.append((len(movable(pods)), utilization(node, pods), name))
    return _leaving(cluster, simulate, [name for _, _, name in sorted(candidates)], kept)


def _leaving(
    cluster: Cluster, simulate: Callable[[], Simulation], candidates: Sequence[str], kept: dict[str, str]
) -> Verdicts:
    leaving: list[str] = []
    spare = dict(cluster.spare)
    for name in candidates:
        group = cluster.groups[name]
        if spare.get(group, 0) < 1:
            kept[name] = "NodeGroupMinSizeReached"
            continue
        # What was thought of for a node that has to stay is forgotten with its simulation.
        simulation = simulate()
        for gone in [*leaving, name]:
            moved = movable(simulation.remove_node(gone))
            if not all(not isinstance(simulation.place(pod), Unfit) for pod in moved):
                kept[name] = "NoPlaceToMovePods"
                break
        else:
            leaving.append(name)
            spare[group] -= 1
    return Verdicts(leaving, kept)


def _stays(node: Obj, pods: Sequence[Obj], cluster: Cluster, threshold: float) -> str:
    meta = node["metadata"]
    if meta["name"] not in cluster.groups:
        return "NotAutoscaled"
    if (meta.get("annotations") or {}).get(DISABLED) == "true":
        return "ScaleDownDisabledAnnotation"
    if utilization(node, pods) >= threshold:
        return "NotUnderutilized"
    return next((why for pod in movable(pods) if (why := keeps_node(pod, cluster.budgets))), "")


def utilization(node: Obj, pods: Sequence[Obj]) -> float:
    """The share of the node that is asked for, of the resource that most is asked of; what comes and goes
    with the node does not count."""
    allocatable = amounts((node.get("status") or {}).get("allocatable"))
    total = dict.fromkeys(_COUNTED, 0)
    for pod in pods:
        if of_daemon(pod) or is_finished(pod):
            continue
        asked = pod_requests(pod["spec"])
        for resource in _COUNTED:
            total[resource] += asked.get(resource, 0)
    shares = [total[resource] / allocatable[resource] for resource in _COUNTED if allocatable.get(resource)]
    return max(shares, default=0.0)
