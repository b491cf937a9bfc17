"""The status of a StatefulSet, from its pods. Source: apps/v1 StatefulSetStatus."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.meta import deleting
from podium.control.pods import available_in, phase
from podium.control.statefulsets.identity import revision_of, wanted
from podium.control.statefulsets.plan import Plan, Seen, is_running


def calculate(seen: Seen, made: Plan, collisions: int) -> Obj:
    """The new status. Where the update is complete, its revision is the current one from now on."""
    pods = [pod for pod in seen.pods if phase(pod)]
    alive = [revision_of(pod) for pod in pods if not deleting(pod)]
    counts = {
        "readyReplicas": sum(map(is_running, pods)),
        "currentReplicas": alive.count(seen.current.name) - made.outdated,
        "updatedReplicas": alive.count(seen.update.name),
    }
    status: Obj = {
        **_conditions(seen.stateful_set),
        "observedGeneration": seen.stateful_set["metadata"].get("generation", 0),
        "replicas": len(pods),
        "availableReplicas": sum(is_running(pod) and seen.available(pod) for pod in pods),
        "currentRevision": seen.current.name,
        "updateRevision": seen.update.name,
        "collisionCount": collisions,
    }
    if _is_complete(seen.stateful_set, status["replicas"], counts):
        counts["currentReplicas"] = counts["updatedReplicas"]
        status["currentRevision"] = seen.update.name
    return status | {name: count for name, count in counts.items() if count}


def _conditions(stateful_set: Obj) -> Obj:
    present = (stateful_set.get("status") or {}).get("conditions")
    return {"conditions": present} if present else {}


def _is_complete(stateful_set: Obj, replicas: int, counts: dict[str, int]) -> bool:
    strategy = (stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    sums = (replicas, counts["readyReplicas"], counts["updatedReplicas"])
    return strategy == "RollingUpdate" and all(count == wanted(stateful_set) for count in sums)


def next_check(seen: Seen) -> float | None:
    """Seconds until another ready pod becomes available, None when none will by waiting alone."""
    seconds = seen.stateful_set["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, seconds, seen.now) for pod in seen.pods]
    return min((wait for wait in waits if wait), default=None)
