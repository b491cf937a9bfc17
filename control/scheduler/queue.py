"""Which pod is tried next, and when a pod that found no node is tried again. No I/O; the clock is injected.

Every pod in here is in exactly one state:
- active: in the heap, by priority and then by age;
- waiting out its back-off: a timer puts it back;
- parked: nothing has changed that could help it. An event that could (`moved`) puts it back, through the
  back-off if that is not over;
- out: handed to the scheduler by `pop`, until `park`, `retry` or `remove`.

A heap entry counts only while its ticket is the pod's current one, so leaving a state costs nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass
from typing import Literal

from podium.client.clock import Clock, Timer
from podium.control.scheduler.needs import Needs

INITIAL_BACKOFF = 1.0  # seconds
MAX_BACKOFF = 10.0

# What an event changes → the filters that may judge differently after it.
HELPS: dict[str, frozenset[str]] = {
    "added": frozenset({"unschedulable", "taints", "affinity", "ports", "resources"}),
    "labels": frozenset({"affinity"}),
    "taints": frozenset({"unschedulable", "taints"}),
    "resources": frozenset({"resources"}),
    "pod gone": frozenset({"ports", "resources"}),
}


@dataclass(slots=True)
class _Waiting:
    needs: Needs
    since: float
    state: Literal["active", "backoff", "parked", "out"] = "out"
    ticket: int = 0
    attempts: int = 0
    failed_at: float = 0.0
    blockers: frozenset[str] = frozenset()
    timer: Timer | None = None


class SchedulingQueue:
    """Unbounded; for one event loop."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._pods: dict[str, _Waiting] = {}
        self._heap: list[tuple[int, float, int, str]] = []
        self._tickets = itertools.count(1)
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: str) -> bool:
        return uid in self._pods

    @property
    def clock(self) -> Clock:
        return self._clock or asyncio.get_running_loop()

    async def ready(self) -> None:
        """Waits until `pop` has something to give."""
        await self._ready.wait()

    def add(self, needs: Needs) -> None:
        """A new pod, or one that changed itself in what it needs: worth trying at once."""
        waiting = self._pods.get(needs.uid)
        if waiting is None:
            waiting = self._pods[needs.uid] = _Waiting(needs, self.clock.time())
        elif waiting.needs == needs or waiting.state == "out":
            # While it is out its old needs are bound or fail; if they fail, `park` sees the new ones.
            waiting.needs = needs
            return
        waiting.needs = needs
        self._activate(waiting)

    def remove(self, uid: str) -> None:
        """The pod is bound, gone, or no longer ours."""
        waiting = self._pods.pop(uid, None)
        if waiting is not None:
            self._stop_timer(waiting)

    def pop(self) -> Needs | None:
        """The next pod to place, None when there is none now."""
        while self._heap:
            _, _, ticket, uid = heapq.heappop(self._heap)
            waiting = self._pods.get(uid)
            if waiting is not None and waiting.state == "active" and waiting.ticket == ticket:
                waiting.state = "out"
                waiting.attempts += 1
                return waiting.needs
        self._ready.clear()
        return None

    def park(self, needs: Needs, blockers: frozenset[str]) -> None:
        """`needs` found no node: tried again when one of `blockers` may judge differently."""
        waiting = self._pods.get(needs.uid)
        if waiting is None:
            return
        waiting.failed_at = self.clock.time()
        waiting.blockers = blockers
        if waiting.needs != needs:
            self._activate(waiting)
        else:
            waiting.state = "parked"

    def reclaim(self) -> list[str]:
        """Puts every pod that is out back, and returns their uids: whoever had them is gone."""
        out = [waiting for waiting in self._pods.values() if waiting.state == "out"]
        for waiting in out:
            self._activate(waiting)
        return [waiting.needs.uid for waiting in out]

    def retry(self, uid: str) -> None:
        """Something failed that has nothing to do with the cluster's state: tried again after the
        back-off."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            waiting.failed_at = self.clock.time()
            self._after_backoff(waiting)

    def moved(self, *changes: str) -> None:
        """The cluster changed: every parked pod that this may help is tried again."""
        helped = frozenset().union(*(HELPS[change] for change in changes))
        for waiting in self._pods.values():
            if waiting.state == "parked" and waiting.blockers & helped:
                self._after_backoff(waiting)

    def _after_backoff(self, waiting: _Waiting) -> None:
        backoff = min(INITIAL_BACKOFF * 2.0 ** min(waiting.attempts - 1, 16), MAX_BACKOFF)
        left = waiting.failed_at + backoff - self.clock.time()
        if left <= 0:
            self._activate(waiting)
            return
        self._stop_timer(waiting)
        waiting.state = "backoff"
        waiting.timer = self.clock.call_later(left, self._activate, waiting)

    def _activate(self, waiting: _Waiting) -> None:
        self._stop_timer(waiting)
        waiting.state = "active"
        waiting.ticket = next(self._tickets)
        entry = (-waiting.needs.priority, waiting.since, waiting.ticket, waiting.needs.uid)
        heapq.heappush(self._heap, entry)
        self._ready.set()

    @staticmethod
    def _stop_timer(waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None
