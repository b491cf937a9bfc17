"""What a PodDisruptionBudget allows, as its status says it. Pure.

Source: kubernetes.io, "Disruptions" and the PodDisruptionBudget API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import controller_of, deleting, parse_time
from podium.control import conditions
from podium.control.deployments.rollout import scaled
from podium.control.pods import is_ready

# An evicted pod counts as disrupted until its deletion is seen, at most so long.
DISRUPTION_TIMEOUT = timedelta(minutes=2)
ALLOWED = "DisruptionAllowed"


class Workload(NamedTuple):
    """What wants pods, and how many. A Deployment stands for its ReplicaSets: in a rollout their sizes change
    all the time."""

    uid: str
    replicas: int


Workloads: TypeAlias = Mapping[str, Workload | None]
"""By the uid that pods name as their controller's; None where nobody knows how many pods it wants."""


class Unknown(Exception):
    """How many pods there shall be cannot be told; the text says why."""


def asks_workloads(spec: Obj) -> bool:
    """Whether the bound is relative to what the pods' workloads want, not to the pods that are there."""
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def unmanaged(spec: Obj, pods: Sequence[Obj]) -> list[Obj]:
    """The pods that nobody can be asked about."""
    return [pod for pod in pods if controller_of(pod) is None] if asks_workloads(spec) else []


def status(budget: Obj, pods: Sequence[Obj], workloads: Workloads, now: datetime) -> Obj:
    """The status that `budget` is to have beside the `pods` that it selects. Raises Unknown."""
    disrupted = _disrupted(budget, pods, now)
    expected, desired = _goal(budget["spec"], pods, workloads)
    healthy = sum(
        is_ready(pod) and not deleting(pod) and pod["metadata"]["name"] not in disrupted for pod in pods
    )
    allowed = max(0, healthy - desired) if expected else 0
    old = budget.get("status") or {}
    reason = "SufficientPods" if allowed else "InsufficientPods"
    generation = budget["metadata"].get("generation", 0)
    condition = conditions.make(ALLOWED, str(allowed > 0), reason, "", now)
    condition["observedGeneration"] = generation
    made: Obj = {
        "observedGeneration": generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": conditions.put(old.get("conditions") or (), condition),
    }
    return made | ({"disruptedPods": disrupted} if disrupted else {})


def failed(budget: Obj, message: str, now: datetime) -> Obj:
    """The status of a budget that cannot be told: it allows nothing."""
    old = budget.get("status") or {}
    condition = conditions.make(ALLOWED, "False", "SyncFailed", message, now)
    return {
        **old,
        "disruptionsAllowed": 0,
        "observedGeneration": budget["metadata"].get("generation", 0),
        "conditions": conditions.put(old.get("conditions") or (), condition),
    }


def next_expiry(budget_status: Obj, now: datetime) -> float | None:
    """Seconds until the first disrupted pod counts again; None where there is none."""
    since = [parse_time(text) for text in (budget_status.get("disruptedPods") or {}).values()]
    if not since:
        return None
    return max(0.0, (min(since) + DISRUPTION_TIMEOUT - now).total_seconds())


def overdue(budget: Obj, pods: Sequence[Obj], now: datetime) -> list[Obj]:
    """The pods that were evicted too long ago to be still there."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    return [
        pod
        for pod in pods
        if not deleting(pod)
        and (since := noted.get(pod["metadata"]["name"]))
        and parse_time(since) + DISRUPTION_TIMEOUT <= now
    ]


def _disrupted(budget: Obj, pods: Sequence[Obj], now: datetime) -> dict[str, str]:
    """Those of the noted disruptions that have not been seen to happen yet."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    waiting = {pod["metadata"]["name"] for pod in pods if not deleting(pod)}
    return {
        name: since
        for name, since in noted.items()
        if name in waiting and parse_time(since) + DISRUPTION_TIMEOUT > now
    }


def _goal(spec: Obj, pods: Sequence[Obj], workloads: Workloads) -> tuple[int, int]:
    """(how many pods there shall be, how many of them must be healthy)."""
    least, most_down = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most_down is not None:
        expected = _expected(pods, workloads)
        return expected, max(0, expected - scaled(most_down, expected, up=True))
    if isinstance(least, str):
        expected = _expected(pods, workloads)
        return expected, scaled(least, expected, up=True)
    # Without any bound at least one pod stays.
    return len(pods), 1 if least is None else int(least)


def _expected(pods: Sequence[Obj], workloads: Workloads) -> int:
    """What the workloads of the pods want in all; pods without a controller do not count."""
    wanted: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner is not None:
            workload = workloads.get(owner["uid"])
            if workload is None:
                raise Unknown(f'found no controllers for pod "{pod["metadata"]["name"]}"')
            wanted[workload.uid] = workload.replicas
    return sum(wanted.values())
