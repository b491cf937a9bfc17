"""How long a Job waits before it replaces failed pods: 10 s, twice as long with every further failure since
the last success, 10 minutes at most. Source: kubernetes.io "Jobs", section "Pod backoff failure policy"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import condition, parse_time

FIRST, LONGEST = 10.0, 600.0  # seconds


class Failures(NamedTuple):
    """How many pods failed since the last success, and when the last of them did."""

    times: int = 0
    last: datetime | None = None

    def after(self, succeeded: Sequence[Obj], failed: Sequence[Obj]) -> Failures:
        """With pods that ended since."""
        times = sorted(map(finished_at, failed))
        if succeeded:
            success = max(map(finished_at, succeeded))
            later = [time for time in times if time > success]
            return Failures(len(later), later[-1]) if later else Failures()
        return Failures(self.times + len(times), times[-1]) if times else self

    def wait(self, now: datetime) -> float:
        """Seconds until the next pod may be made. A clock that was set back makes nobody wait longer than
        the whole pause."""
        if not self.times or self.last is None:
            return 0.0
        pause = min(FIRST * 2.0 ** min(self.times - 1, 32), LONGEST)
        return min(pause, max(0.0, pause - (now - self.last).total_seconds()))


def finished_at(pod: Obj) -> datetime:
    """When the pod ended: its last container, else when it ceased to be ready, else when it was deleted,
    else its creation."""
    if found := _last_exit(pod):
        return found
    ready = condition(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    meta = pod["metadata"]
    if "deletionTimestamp" in meta:
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        return parse_time(meta["deletionTimestamp"]) - grace
    return parse_time(meta["creationTimestamp"])


def _last_exit(pod: Obj) -> datetime | None:
    """None while a container that matters has not ended. Sidecars end after the others, so they matter."""
    status = pod.get("status") or {}
    sidecars = {
        entry["name"]
        for entry in pod["spec"].get("initContainers") or ()
        if entry.get("restartPolicy") == "Always"
    }
    moments = _exits(status.get("containerStatuses") or (), lambda name: True)
    more = _exits(status.get("initContainerStatuses") or (), sidecars.__contains__)
    return None if moments is None or more is None else max([*moments, *more], default=None)


def _exits(statuses: Iterable[Obj], matters: Callable[[str], bool]) -> list[datetime] | None:
    moments = []
    for entry in statuses:
        if matters(entry["name"]):
            ended = ((entry.get("state") or {}).get("terminated") or {}).get("finishedAt")
            if not ended:
                return None
            moments.append(parse_time(ended))
    return moments
