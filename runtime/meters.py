"""What a node daemon counts of its own work, for whoever scrapes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from podium.client.meters import Durations

_WORK = tuple(0.001 * 2**power for power in range(15))
_START = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180,
          240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)  # fmt: skip


class Probed(NamedTuple):
    """One container's probe of a kind, and how it came out: successful, failed or unknown."""

    kind: str
    result: str
    container: str
    pod: str
    namespace: str
    uid: str


class NodeMeters:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.pod_start = Durations(_START)
        """From first seeing a pod to its running."""
        self.worker_start = Durations(_WORK)
        """From first seeing a pod to first looking at it."""
        self.looks: dict[str, Durations] = {}
        """How long looking at a pod takes, by what for: create, sync."""
        self.probes: Counter[Probed] = Counter()
        self.evictions: Counter[str] = Counter()
        self._seen: dict[str, float] = {}
        self._looked: set[str] = set()

    def seen(self, uid: str) -> None:
        """A pod has come that is to be started here."""
        self._seen[uid] = self._clock()

    def looked(self, uid: str, seconds: float) -> None:
        first = uid not in self._looked
        self._looked.add(uid)
        if first and uid in self._seen:
            self.worker_start.add(self._clock() - self._seen[uid])
        kind = "create" if first else "sync"
        if (durations := self.looks.get(kind)) is None:
            durations = self.looks[kind] = Durations(_WORK)
        durations.add(seconds)

    def running(self, uid: str) -> None:
        """Counts once."""
        if (since := self._seen.pop(uid, None)) is not None:
            self.pod_start.add(self._clock() - since)

    def probed(self, probed: Probed) -> None:
        self.probes[probed] += 1

    def forget(self, uid: str) -> None:
        """The pod is gone; nobody scrapes what its probes said any more."""
        self._seen.pop(uid, None)
        self._looked.discard(uid)
        for each in [each for each in self.probes if each.uid == uid]:
            del self.probes[each]
