"""What a PodDisruptionBudget allows, as its status says it. Pure.

Source: kubernetes.io, "Disruptions" and the PodDisruptionBudget API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import controller_of, deleting, parse_time
from podium.control import conditions
from podium.control.deployments.rollout import scaled
from podium.control.pods import is_ready

# An evicted pod counts as disrupted until its deletion is seen, at most so long.
DISRUPTION_TIMEOUT = timedelta(minutes=2)
ALLOWED = "DisruptionAllowed"

Scale: TypeAlias = Callable[[Obj, Obj], int | None]
"""(pod, its controller reference) to how many pods that controller wants; None where nobody knows."""


class Unknown(Exception):
    """How many pods there shall be cannot be told; the text says why."""


def status(budget: Obj, pods: Sequence[Obj], scale: Scale, now: datetime) -> Obj:
    """The status that `budget` is to have beside the `pods` that it selects. Raises Unknown."""
    disrupted = _disrupted(budget, pods, now)
    expected, desired = _goal(budget["spec"], pods, scale)
    healthy = sum(
        is_ready(pod) and not deleting(pod) and pod["metadata"]["name"] not in disrupted for pod in pods
    )
    allowed = max(0, healthy - desired) if expected else 0
    old = budget.get("status") or {}
    reason = "SufficientPods" if allowed else "InsufficientPods"
    condition = conditions.make(ALLOWED, str(allowed > 0), reason, "", now)
    made: Obj = {
        "observedGeneration": budget["metadata"].get("generation", 0),
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


def _disrupted(budget: Obj, pods: Sequence[Obj], now: datetime) -> dict[str, str]:
    """Those of the noted disruptions that have not been seen to happen yet."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    waiting = {pod["metadata"]["name"] for pod in pods if not deleting(pod)}
    return {
        name: since
        for name, since in noted.items()
        if name in waiting and parse_time(since) + DISRUPTION_TIMEOUT > now
    }


def _goal(spec: Obj, pods: Sequence[Obj], scale: Scale) -> tuple[int, int]:
    """(how many pods there shall be, how many of them must be healthy)."""
    least, most_down = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most_down is not None:
        expected = _expected(pods, scale)
        return expected, max(0, expected - scaled(most_down, expected, up=True))
    if isinstance(least, str):
        expected = _expected(pods, scale)
        return expected, scaled(least, expected, up=True)
    # Without any bound at least one pod stays.
    return len(pods), 1 if least is None else int(least)


def _expected(pods: Sequence[Obj], scale: Scale) -> int:
    """What the controllers of the pods want in all; pods without a controller do not count."""
    wanted: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner is None or owner["uid"] in wanted:
            continue
        count = scale(pod, owner)
        if count is None:
            raise Unknown(f"found no controller that scales pod {pod['metadata']['name']}")
        wanted[owner["uid"]] = count
    return sum(wanted.values())
