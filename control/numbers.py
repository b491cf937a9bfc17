"""What the controllers and the scheduler of a process count, for whoever shows it.

Source: Kubernetes Metrics Reference, v1.36, workqueue_* and scheduler_*."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Literal

from podium.client.meters import Durations, QueueMeter

Result = Literal["scheduled", "unschedulable", "error"]
# Seconds: the upper bounds of an attempt's duration.
BOUNDS = tuple(0.001 * 2**step for step in range(15))


class SchedulingMeter:
    """Attempts by result and profile, and how long they took. `pending` tells how many pods wait, and where:
    active, backoff, unschedulable."""

    def __init__(self) -> None:
        self.pending: Callable[[], Mapping[str, int]] = dict
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(lambda: Durations(BOUNDS))
        self.preempted = 0

    def attempted(self, result: Result, profile: str, seconds: float) -> None:
        self.attempts[result, profile] += 1
        self.durations[result, profile].add(seconds)


class Numbers:
    """They outlive the controllers, which are made anew with each leadership."""

    def __init__(self) -> None:
        self.queues: dict[str, QueueMeter] = {}
        self.scheduling = SchedulingMeter()

    def queue(self, name: str) -> QueueMeter:
        return self.queues.setdefault(name, QueueMeter())
