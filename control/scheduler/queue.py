"""Which pod is tried next, and when a pod that found no node is tried again. No I/O; the clock is injected.

Every pod in here is in exactly one state:
- active: in the heap, by priority and then by age;
- waiting out its back-off, 1 to 10 seconds: a timer puts it back. While nothing is active and few wait, it
  need not wait to the end;
- parked: nothing has changed that could help it. A change that could (`moved`) puts it back, through the
  back-off if that is not over; after five minutes it is tried in any case;
- out: handed to the scheduler by `pop`, until `park`, `retry` or `remove`.

A heap entry counts only while its ticket is the pod's current one, so leaving a state costs nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Literal

from podium.client.clock import Clock, Timer
from podium.control.scheduler.hints import Change, helps
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import Needs

INITIAL_BACKOFF = 1.0  # seconds
MAX_BACKOFF = 10.0
FORGOTTEN = 300.0  # seconds that a pod stays parked at most
FEW = 64  # so many in back-off are tried early when nothing else is to be done


@dataclass(slots=True)
class _Waiting:
    needs: Needs
    since: float
    state: Literal["active", "backoff", "parked", "out"] = "out"
    ticket: int = 0
    attempts: int = 0
    failed_at: float = 0.0
    blockers: frozenset[str] = frozenset()
    patient: bool = False
    """Whether the back-off is to be waited for to the end."""


class SchedulingQueue:
    """Unbounded; for one event loop. `namespaces` are the labels that the hints need."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        initial_backoff: float = INITIAL_BACKOFF,
        max_backoff: float = MAX_BACKOFF,
        namespaces: Mapping[str, Labels] | None = None,
    ) -> None:
        self._clock = clock
        self._initial, self._max = initial_backoff, max_backoff
        self._namespaces = namespaces if namespaces is not None else {}
        self._pods: dict[str, _Waiting] = {}
        self._heap: list[tuple[int, float, int, str]] = []
        self._backoff: list[tuple[float, int, str]] = []
        self._in_backoff = 0
        self._parked: dict[str, None] = {}
        self._alike: dict[Hashable, dict[str, None]] = {}
        self._tickets = itertools.count(1)
        self._ready = asyncio.Event()
        self._timers: dict[str, tuple[float, Timer]] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: str) -> bool:
        return uid in self._pods

    def counts(self) -> dict[str, int]:
        """How many wait, by where, as `scheduler_pending_pods` has it."""
        counts = {"active": 0, "backoff": 0, "unschedulable": 0}
        for waiting in self._pods.values():
            place = "unschedulable" if waiting.state == "parked" else waiting.state
            counts["active" if place == "out" else place] += 1
        return counts

    def tried(self, uid: str) -> bool:
        """Whether the pod is still in here, after an attempt that found no place for it."""
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
        self._leave(waiting)
        waiting.needs = needs
        self._activate(waiting)

    def remove(self, uid: str) -> None:
        """The pod is bound, gone, or no longer ours."""
        waiting = self._pods.pop(uid, None)
        if waiting is not None:
            self._leave(waiting)

    def pop(self) -> Needs | None:
        """The next pod to place, None when there is none now."""
        while self._heap:
            _, _, ticket, uid = heapq.heappop(self._heap)
            if (waiting := self._current(uid, ticket, "active")) is not None:
                return self._hand_out(waiting)
        if 0 < self._in_backoff <= FEW and (waiting := self._early()) is not None:
            return self._hand_out(waiting)
        self._ready.clear()
        return None

    def _hand_out(self, waiting: _Waiting) -> Needs:
        waiting.state = "out"
        waiting.attempts += 1
        return waiting.needs

    def _early(self) -> _Waiting | None:
        for _, ticket, uid in sorted(self._backoff):
            waiting = self._current(uid, ticket, "backoff")
            if waiting is not None and not waiting.patient:
                self._leave(waiting)
                return waiting
        return None

    def _current(self, uid: str, ticket: int, state: str) -> _Waiting | None:
        waiting = self._pods.get(uid)
        if waiting is None or waiting.ticket != ticket or waiting.state != state:
            return None
        return waiting

    def park(self, needs: Needs, blockers: frozenset[str]) -> None:
        """`needs` found no node: tried again when one of `blockers` may judge differently."""
        waiting = self._pods.get(needs.uid)
        if waiting is None:
            return
        waiting.failed_at = self.clock.time()
        waiting.blockers = blockers
        if waiting.needs != needs:
            self._activate(waiting)
            return
        waiting.state = "parked"
        self._parked[needs.uid] = None
        self._alike.setdefault(_kind(waiting), {})[needs.uid] = None
        self._set_timer("parked", waiting.failed_at + FORGOTTEN, self._flush)

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
            waiting.patient = True
            self._after_backoff(waiting)

    def activate(self, uid: str) -> None:
        """The pod is worth trying at once."""
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.state in ("parked", "backoff"):
            self._leave(waiting)
            self._activate(waiting)

    def moved(self, change: Change) -> None:
        """The cluster changed: every parked pod that this may help is tried again."""
        for members in [*self._alike.values()]:
            first = self._pods[next(iter(members))]
            if not helps(first.blockers, first.needs, change, self._namespaces):
                continue
            for uid in [*members]:
                waiting = self._pods[uid]
                self._leave(waiting)
                waiting.patient = False
                self._after_backoff(waiting)

    def _flush(self) -> None:
        """Puts back what has been parked for too long; nothing that could help it was noticed."""
        now = self.clock.time()
        for uid in [*self._parked]:
            waiting = self._pods[uid]
            if waiting.failed_at + FORGOTTEN > now:
                self._set_timer("parked", waiting.failed_at + FORGOTTEN, self._flush)
                return
            self._leave(waiting)
            self._activate(waiting)

    def _after_backoff(self, waiting: _Waiting) -> None:
        backoff = min(self._initial * 2.0 ** min(waiting.attempts - 1, 16), self._max)
        due = waiting.failed_at + backoff
        if due <= self.clock.time():
            self._activate(waiting)
            return
        waiting.state = "backoff"
        waiting.ticket = next(self._tickets)
        self._in_backoff += 1
        heapq.heappush(self._backoff, (due, waiting.ticket, waiting.needs.uid))
        self._set_timer("backoff", due, self._backed_off)
        if not waiting.patient and self._in_backoff <= FEW:
            self._ready.set()

    def _backed_off(self) -> None:
        now = self.clock.time()
        while self._backoff:
            due, ticket, uid = self._backoff[0]
            waiting = self._current(uid, ticket, "backoff")
            if waiting is not None and due > now:
                self._set_timer("backoff", due, self._backed_off)
                return
            heapq.heappop(self._backoff)
            if waiting is not None:
                self._leave(waiting)
                self._activate(waiting)

    def _set_timer(self, name: str, due: float, callback: Callable[[], None]) -> None:
        """One timer of each name, for the earliest moment asked for."""
        found = self._timers.get(name)
        if found is not None:
            if found[0] <= due:
                return
            found[1].cancel()

        def ring() -> None:
            del self._timers[name]
            callback()

        self._timers[name] = (due, self.clock.call_later(max(0.0, due - self.clock.time()), ring))

    def _activate(self, waiting: _Waiting) -> None:
        waiting.state = "active"
        waiting.patient = False
        waiting.ticket = next(self._tickets)
        entry = (-waiting.needs.priority, waiting.since, waiting.ticket, waiting.needs.uid)
        heapq.heappush(self._heap, entry)
        self._ready.set()

    def _leave(self, waiting: _Waiting) -> None:
        """Out of what its state keeps."""
        if waiting.state == "backoff":
            self._in_backoff -= 1
        elif waiting.state == "parked":
            uid = waiting.needs.uid
            del self._parked[uid]
            kind = _kind(waiting)
            members = self._alike[kind]
            del members[uid]
            if not members:
                del self._alike[kind]
        waiting.state = "out"


def _kind(waiting: _Waiting) -> Hashable:
    """Equal for pods that every change helps alike."""
    needs = waiting.needs
    return waiting.blockers, (needs if needs.volumes else needs.shape)
