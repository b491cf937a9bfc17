"""The status of a DaemonSet, from nodes and pods. Source: apps/v1 DaemonSetStatus."""

from __future__ import annotations

from podium.api.types import Obj
from podium.control.daemons.plan import Seen
from podium.control.pods import available_in, is_ready

ALWAYS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
_OURS = (
    *ALWAYS,
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


def calculate(seen: Seen, collisions: int, *, observed: bool) -> Obj:
    """The new status. `observed` is whether the present generation was acted upon."""
    before = seen.daemon_set.get("status") or {}
    firsts = {
        node: seen.by_node[node][0] for node in seen.verdicts if seen.by_node.get(node)
    }  # the pod that counts, where a node has several
    daemons = [pod for node, pod in firsts.items() if seen.verdicts[node].runs]
    available = sum(map(seen.available, daemons))
    generation = seen.daemon_set["metadata"].get("generation", 0)
    counts = {
        "currentNumberScheduled": len(daemons),
        "numberMisscheduled": len(firsts) - len(daemons),
        "desiredNumberScheduled": seen.desired,
        "numberReady": sum(map(is_ready, daemons)),
        "updatedNumberScheduled": sum(map(seen.is_updated, daemons)),
        "numberAvailable": available,
        "numberUnavailable": seen.desired - available,
        "observedGeneration": generation if observed else before.get("observedGeneration", 0),
        "collisionCount": collisions,
    }
    others = {name: value for name, value in before.items() if name not in _OURS}
    return others | {name: count for name, count in counts.items() if count or name in ALWAYS}


def next_check(seen: Seen) -> float | None:
    """Seconds until another ready pod becomes available, None when none will by waiting alone."""
    seconds = seen.daemon_set["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, seconds, seen.now) for pod in seen.pods]
    return min((wait for wait in waits if wait), default=None)
