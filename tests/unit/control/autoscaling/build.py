"""Short forms of what the replica calculation looks at. Usage and requests are in millicores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.autoscaling.replicas import Metrics, Periods, PodMetric, Tolerances, Workload

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def pod(
    name: str,
    *,
    ready: bool = True,
    phase: str = "Running",
    age: timedelta = timedelta(hours=1),
    since: timedelta | None = None,
    request: int | None = 1000,
    gone: bool = False,
    **more: Any,
) -> Obj:
    """`since`: how long ago its readiness changed; by default at its start."""
    started, changed = NOW - age, NOW - (age if since is None else since)
    resources = {"requests": {"cpu": f"{request}m"}} if request is not None else {}
    meta: Obj = {"name": name}
    if gone:
        meta["deletionTimestamp"] = timestamp(NOW)
    return {
        "metadata": meta,
        "spec": {"containers": [{"name": "main", "resources": resources}], **more},
        "status": {
            "phase": phase,
            "startTime": timestamp(started),
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(changed)}],
        },
    }


def pods(count: int, **options: Any) -> list[Obj]:
    return [pod(f"p{number}", **options) for number in range(count)]


def metrics(*values: int, window: timedelta = MINUTE, at: datetime = NOW) -> Metrics:
    """Of the pods p0, p1, ..."""
    return {f"p{number}": PodMetric(value, at, window) for number, value in enumerate(values)}


def workload(
    found: list[Obj],
    wanted: int | None = None,
    *,
    tolerances: Tolerances | None = None,
    present: int | None = None,
) -> Workload:
    size = len(found) if wanted is None else wanted
    return Workload(
        size, size if present is None else present, found, tolerances or Tolerances(), Periods(), NOW
    )
