"""Which pods of too many go first.

Source: kubernetes.io "ReplicaSet", section "Scaling a ReplicaSet": pending before running, low deletion cost,
crowded nodes, younger before older, all of it after not-ready before ready.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.types import Obj
from podium.api.types.meta import parse_time
from podium.control.pods import is_active, is_ready, phase, ready_since

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def victims(pods: Sequence[Obj], count: int, related: Sequence[Obj], now: datetime) -> list[Obj]:
    """`count` of `pods` to delete. `related` are the pods that share nodes with them: those of all
    ReplicaSets of one owner, so that a rollout spreads its deletions."""
    if count >= len(pods):
        return list(pods)
    crowds = Counter(_node(pod) for pod in related if is_active(pod))
    return sorted(pods, key=lambda pod: _rank(pod, crowds[_node(pod)], now))[:count]


def _node(pod: Obj) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _rank(pod: Obj, crowd: int, now: datetime) -> tuple[Any, ...]:
    """Smaller goes first."""
    since = ready_since(pod)
    created = pod["metadata"].get("creationTimestamp")
    return (
        bool(_node(pod)),
        PHASES.get(phase(pod), 0),
        is_ready(pod),
        deletion_cost(pod),
        -crowd,
        _age(since, now) if is_ready(pod) else -1,
        tuple(-restarts for restarts in restarts(pod)),
        _age(parse_time(created) if created else None, now),
        pod["metadata"].get("uid", ""),
    )


def _age(moment: datetime | None, now: datetime) -> int:
    """In powers of two of nanoseconds, so that pods of about the same age are chosen among by chance (their
    uid), not always the last one on the newest node."""
    if moment is None:
        return -2
    age = int((now - moment).total_seconds() * 1e9)
    return int(math.log2(age)) if age > 0 else -1


def deletion_cost(pod: Obj) -> int:
    """The cost an annotation names; 0 without one or where it is no 32-bit integer."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        cost = int(text)
    except ValueError:
        return 0
    well_formed = text == str(cost) and -(2**31) <= cost < 2**31
    return cost if well_formed else 0


def restarts(pod: Obj) -> tuple[int, int]:
    """The most restarts of an ordinary container, and of a sidecar."""
    status = pod.get("status") or {}
    ordinary = [entry.get("restartCount", 0) for entry in status.get("containerStatuses") or ()]
    sidecars = {
        container["name"]
        for container in pod["spec"].get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    restarted = [
        entry.get("restartCount", 0)
        for entry in status.get("initContainerStatuses") or ()
        if entry["name"] in sidecars
    ]
    return max(ordinary, default=0), max(restarted, default=0)
