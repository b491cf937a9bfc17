"""The status of a ReplicaSet or ReplicationController, from its pods. Source: apps/v1 ReplicaSetStatus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from podium.api.types import Obj
from podium.api.types.selectors import from_map
from podium.control import conditions
from podium.control.pods import available_in, is_ready

FAILURE = "ReplicaFailure"


def calculate(owner: Obj, active: Sequence[Obj], terminating: int | None, failure: str, now: datetime) -> Obj:
    """The new status. `terminating` is None where the kind has no such field; `failure` is what went wrong
    with creating or deleting pods this time, "" for nothing."""
    spec = owner["spec"]
    wanted = spec.get("replicas", 1)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    template = from_map(labels)
    seconds = spec.get("minReadySeconds", 0)
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(
            not labels or template.matches(pod["metadata"].get("labels")) for pod in active
        ),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(available_in(pod, seconds, now) == 0 for pod in active),
        "observedGeneration": owner["metadata"].get("generation", 0),
    }
    status: Obj = {name: count for name, count in counts.items() if count or name == "replicas"}
    if terminating is not None:
        status["terminatingReplicas"] = terminating
    if found := _conditions(owner, len(active) - wanted, failure, now):
        status["conditions"] = found
    return status


def _conditions(owner: Obj, surplus: int, failure: str, now: datetime) -> list[Obj]:
    current = (owner.get("status") or {}).get("conditions") or []
    if not failure:
        return conditions.without(current, FAILURE)
    if conditions.find(current, FAILURE):
        return list(current)
    reason = "FailedCreate" if surplus < 0 else "FailedDelete" if surplus > 0 else ""
    return conditions.put(current, conditions.make(FAILURE, "True", reason, failure, now))


def next_check(owner: Obj, active: Sequence[Obj], now: datetime) -> float | None:
    """Seconds until another ready pod becomes available, None when none will by waiting alone."""
    seconds = owner["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, seconds, now) for pod in active]
    return min((wait for wait in waits if wait), default=None)
