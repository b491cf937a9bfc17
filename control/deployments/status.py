"""The status of a Deployment, from those of its ReplicaSets, and whether its rollout moves.

Source: kubernetes.io "Deployments", section "Deployment status"; apps/v1 DeploymentStatus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from podium.api.types import Obj
from podium.api.types.meta import parse_time, timestamp
from podium.control import conditions
from podium.control.deployments.rollout import max_unavailable, total, wanted

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
CREATE_FAILED = "ReplicaSetCreateError"
UPDATED = "ReplicaSetUpdated"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
NO_DEADLINE = 2**31 - 1


def deadline(deployment: Obj) -> int | None:
    """Seconds within which a rollout must make progress, None for no limit."""
    seconds: int = deployment["spec"].get("progressDeadlineSeconds", 600)
    return None if seconds == NO_DEADLINE else seconds


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    return {**conditions.make(kind, status, reason, message, now), "lastUpdateTime": timestamp(now)}


def _sum(replica_sets: Iterable[Obj], field: str) -> int:
    return sum((entry.get("status") or {}).get(field, 0) for entry in replica_sets)


def calculate(deployment: Obj, new: Obj | None, olds: Sequence[Obj], now: datetime) -> Obj:
    """The counts, and the Available condition; all other conditions stay as they are."""
    every = [*olds, new] if new is not None else list(olds)
    available = _sum(every, "availableReplicas")
    current = deployment.get("status") or {}
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _sum(every, "replicas"),
        "updatedReplicas": _sum([new], "replicas") if new is not None else 0,
        "readyReplicas": _sum(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(every) - available),
        "collisionCount": current.get("collisionCount", 0),
    }
    status: Obj = {name: count for name, count in counts.items() if count}
    if (terminating := _terminating(every)) is not None:
        status["terminatingReplicas"] = terminating
    if available >= wanted(deployment) - max_unavailable(deployment):
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    found = condition(AVAILABLE, *verdict, now)
    status["conditions"] = conditions.put(current.get("conditions") or [], found)
    return status


def _terminating(replica_sets: Iterable[Obj]) -> int | None:
    """Their sum, None while one that was worked on does not say."""
    count = 0
    for entry in replica_sets:
        status = entry.get("status") or {}
        if "terminatingReplicas" in status:
            count += status["terminatingReplicas"]
        elif status.get("observedGeneration"):
            return None
    return count


def is_complete(deployment: Obj, status: Obj) -> bool:
    """All pods are of the new template and available, and no old one is left."""
    count = wanted(deployment)
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    generation = deployment["metadata"].get("generation", 0)
    return all(entry == count for entry in counts) and status.get("observedGeneration", 0) >= generation


def progresses(before: Obj, after: Obj) -> bool:
    """Whether between two statuses new pods were made, old ones went, or any became ready or available."""

    def grew(field: str) -> bool:
        return bool(after.get(field, 0) > before.get(field, 0))

    def outdated(status: Obj) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    more = any(map(grew, ("updatedReplicas", "readyReplicas", "availableReplicas")))
    return more or outdated(after) < outdated(before)


def _timed_out(deployment: Obj, current: Obj, now: datetime) -> bool:
    seconds = deadline(deployment)
    if seconds is None or current.get("reason") == COMPLETE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    since = parse_time(current.get("lastUpdateTime") or current["lastTransitionTime"])
    return since + timedelta(seconds=seconds) < now


def rollout(deployment: Obj, new: Obj | None, olds: Sequence[Obj], now: datetime) -> Obj:
    """The whole new status during a rollout: `calculate`, the Progressing condition, and the ReplicaSets'
    failures."""
    status = calculate(deployment, new, olds, now)
    entries = _with_progress(deployment, new, status, now)
    failures = [
        entry
        for replica_set in ([new] if new is not None else []) + list(olds)
        for entry in (replica_set.get("status") or {}).get("conditions") or ()
        if entry.get("type") == FAILURE
    ]
    if failures:
        moved = {**failures[0], "lastUpdateTime": failures[0].get("lastTransitionTime", timestamp(now))}
        entries = conditions.put(entries, moved)
    else:
        entries = conditions.without(entries, FAILURE)
    status["conditions"] = entries
    return status


def _with_progress(deployment: Obj, new: Obj | None, status: Obj, now: datetime) -> list[Obj]:
    entries: list[Obj] = status["conditions"]
    if deadline(deployment) is None:
        return conditions.without(entries, PROGRESSING)
    before = deployment.get("status") or {}
    current = conditions.find(entries, PROGRESSING)
    rested = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if rested and current is not None and current.get("reason") == COMPLETE:
        return entries
    subject = (
        f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return conditions.put(entries, condition(PROGRESSING, "True", COMPLETE, message, now))
    if progresses(before, status):
        found = condition(PROGRESSING, "True", UPDATED, f"{subject} is progressing.", now)
        if current is not None and current.get("status") == "True":
            found["lastTransitionTime"] = current.get("lastTransitionTime", found["lastTransitionTime"])
        # Every sign of progress renews the update time, also where status and reason stay the same.
        return [*conditions.without(entries, PROGRESSING), found]
    if current is not None and _timed_out(deployment, current, now):
        message = f"{subject} has timed out progressing."
        return conditions.put(entries, condition(PROGRESSING, "False", TIMED_OUT, message, now))
    return entries


def next_check(deployment: Obj, status: Obj, now: datetime) -> float | None:
    """Seconds until a rollout without progress has to be called stuck, None where nothing is waited for."""
    current = conditions.find(status.get("conditions") or (), PROGRESSING)
    seconds = deadline(deployment)
    if seconds is None or current is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    since = parse_time(current.get("lastUpdateTime") or current["lastTransitionTime"])
    # A second more, since the condition's time has no fractions.
    return max(0.0, (since - now).total_seconds() + seconds) + 1.0


def paused(deployment: Obj, now: datetime) -> Obj | None:
    """The Progressing condition that records a pause or its end, None where it is recorded already."""
    if deadline(deployment) is None:
        return None
    current = conditions.find((deployment.get("status") or {}).get("conditions") or (), PROGRESSING) or {}
    if current.get("reason") == TIMED_OUT:
        return None
    recorded = current.get("reason") == PAUSED
    if deployment["spec"].get("paused") and not recorded:
        return condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    if not deployment["spec"].get("paused") and recorded:
        return condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now)
    return None
