"""Looks every ten seconds by default, and whenever memory gets scarce, at what the node has left, and does
what has to be done about it: one pod at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from podium.api.types import Obj, meta
from podium.client.events import EventRecorder
from podium.runtime.containerd import ContainerdError
from podium.runtime.eviction import ranking, reclaim, signals
from podium.runtime.eviction.notifier import MemoryNotifier
from podium.runtime.eviction.ranking import EVICTED, Used
from podium.runtime.eviction.signals import Places
from podium.runtime.eviction.thresholds import ALLOCATABLE_MEMORY, Eviction, Threshold, with_containers
from podium.runtime.eviction.watch import Observations, Watch
from podium.runtime.interfaces import ImageReclaim
from podium.runtime.nodeapi.usage import group_usage
from podium.runtime.pods import evicting, rules

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

SOON = 1.0
CLEANUP = 30.0
HARD_GRACE = 1.0
_DISK = ("ephemeral-storage", "inodes")


class EvictionManager:
    """One node's. `pressure` and `refusal` tell how it stands; `run` goes on until it is cancelled. `changed`
    is called when conditions have changed. Raises BadThreshold for settings that cannot be meant."""

    def __init__(
        self,
        settings: Eviction,
        places: Places,
        images: ImageReclaim,
        recorder: EventRecorder,
        node_name: str,
        *,
        now: Callable[[], datetime],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._places = places
        self._images = images
        self._recorder = recorder
        self._node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name, "uid": node_name}}
        self._now = now
        self._changed = changed
        thresholds = with_containers(settings.thresholds(), dedicated=places.dedicated)
        self._watch = Watch(settings, thresholds)
        self.evictions: Counter[str] = Counter()
        """Pods ended so far, by signal."""
        self._wake = asyncio.Event()
        # The first pods are not to come to a node that is short already.
        self._watch.look(signals.look(places), now())

    @property
    def conditions(self) -> frozenset[str]:
        """MemoryPressure, DiskPressure, PIDPressure: those that hold."""
        return self._watch.conditions

    def refusal(self, pod: Obj) -> str:
        """Why the node does not take a pod now, "" when it does."""
        return ranking.refusal(pod, self.conditions)

    async def run(self, workers: Callable[[], Iterable[PodWorker]]) -> None:
        notifier = MemoryNotifier(self._wake.set)
        try:
            notifier.watch_stalls()
            woken = False
            while True:
                self._wake.clear()
                ended = await self._look(workers, notifier)
                if ended:
                    await _cleaned(ended)
                    continue
                woken = await self._rest(min(SOON, self._settings.period) if woken else self._settings.period)
        finally:
            notifier.close()

    async def _rest(self, period: float) -> bool:
        """Until the next look; whether the kernel called for it. What called is looked at once more a moment
        later: it may only have begun."""
        try:
            async with asyncio.timeout(period):
                await self._wake.wait()
                return True
        except TimeoutError:
            return False

    async def _look(
        self, workers: Callable[[], Iterable[PodWorker]], notifier: MemoryNotifier
    ) -> list[PodWorker]:
        """The pods that were ended."""
        try:
            seen = await asyncio.to_thread(signals.look, self._places)
            before = self.conditions
            due = self._watch.look(seen, self._now())
            if self.conditions != before:
                self._changed()
            self._draw_lines(seen, notifier)
            if over := await evicting.over_limits(workers()):
                return over
            return await self._relieve(due, seen, workers) if due else []
        except (ContainerdError, OSError) as error:
            log.warning("cannot look at what the node has left: %s", error)
            return []

    def _draw_lines(self, seen: Observations, notifier: MemoryNotifier) -> None:
        """Has the kernel tell when thresholds are crossed."""
        cgroups = self._places.cgroups
        if cgroups.unified:
            return
        for threshold in self._watch.thresholds:
            there = seen.get(threshold.signal)
            if there is None or threshold.signal != ALLOCATABLE_MEMORY:
                continue
            usage = group_usage(cgroups, cgroups.top)
            spare = usage.memory - usage.working_set if usage else 0
            line = there.capacity - threshold.amount.of(there.capacity) + spare
            notifier.watch_line(cgroups.mount / "memory" / cgroups.top.lstrip("/"), line)

    async def _relieve(
        self, due: Sequence[Threshold], seen: Observations, workers: Callable[[], Iterable[PodWorker]]
    ) -> list[PodWorker]:
        threshold = due[0]
        resource = threshold.resource
        self._recorder.event(
            self._node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {resource}"
        )
        if resource in _DISK and await self._freed(workers):
            return []
        candidates = {
            worker.uid: worker
            for worker in workers()
            if worker.holds and worker.observed.stopping_since is None and worker.observed.alive()
        }
        used = {uid: await self._used(worker, resource) for uid, worker in candidates.items()}
        known = {uid: each for uid, each in used.items() if each is not None}
        pods = [worker.pod for worker in candidates.values() if not ranking.is_critical(worker.pod)]
        for pod in ranking.ranked(pods, known, resource)[:1]:
            uid = str(pod["metadata"]["uid"])
            self._end(candidates[uid], threshold, ranking.message(resource, pod, known.get(uid), due, seen))
            return [candidates[uid]]
        log.warning("the node is short of %s, and there is no pod to be ended", resource)
        return []

    async def _freed(self, workers: Callable[[], Iterable[PodWorker]]) -> bool:
        """Frees what nobody needs; whether that will do."""
        await reclaim.remove_dead(workers())
        await self._images.remove_unused()
        return self._watch.satisfied(await asyncio.to_thread(signals.look, self._places))

    def _end(self, worker: PodWorker, threshold: Threshold, text: str) -> None:
        grace = HARD_GRACE
        if threshold.grace:
            own = worker.pod["spec"].get("terminationGracePeriodSeconds")
            grace = float(min(self._settings.max_grace, own if own is not None else self._settings.max_grace))
        log.info("evicting pod %s: %s", rules.full_name(worker.pod), text)
        condition: Obj = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": text,
            "lastProbeTime": None,
            "lastTransitionTime": meta.timestamp(self._now()),
        }
        if generation := worker.pod["metadata"].get("generation"):
            condition["observedGeneration"] = generation
        self.evictions[threshold.signal] += 1
        worker.fail(EVICTED, text, grace=grace, condition=condition)

    async def _used(self, worker: PodWorker, resource: str) -> Used | None:
        try:
            if resource in _DISK:
                return await evicting.disk_used(worker, inodes=resource == "inodes")
            return await asyncio.to_thread(self._counted, worker, resource)
        except (ContainerdError, OSError) as error:
            log.warning("cannot tell what pod %s uses: %s", rules.full_name(worker.pod), error)
            return None

    def _counted(self, worker: PodWorker, resource: str) -> Used | None:
        cgroups, pod = self._places.cgroups, worker.pod
        if resource == "pids":
            return Used(signals.processes(cgroups, cgroups.pod(pod)))
        whole = group_usage(cgroups, cgroups.pod(pod))
        if whole is None:
            return None
        running = {
            each.name: group_usage(cgroups, cgroups.container(pod, each.id))
            for each in worker.observed.alive()
        }
        containers = {name: each.working_set for name, each in running.items() if each is not None}
        return Used(whole.working_set, containers)


async def _cleaned(workers: Sequence[PodWorker]) -> None:
    """Returns when nothing of the pods runs any more; waits for half a minute at most."""
    try:
        async with asyncio.timeout(CLEANUP):
            for worker in workers:
                await worker.cleared.wait()
    except TimeoutError:
        log.warning("evicted pods take long to end")
