"""The edge: decisions into bindings, evictions, conditions and Events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import NamedTuple, TypeAlias

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.events import EventRecorder
from podium.client.factory import InformerFactory
from podium.control.numbers import SchedulingMeter
from podium.control.scheduler import notices
from podium.control.scheduler.binder import NotBound, VolumeBinder, bind
from podium.control.scheduler.decide import Decider, Decision, Rejection
from podium.control.scheduler.evictor import Evictor
from podium.control.scheduler.hints import PodChange
from podium.control.scheduler.needs import DEFAULT_SCHEDULER, Needs, Placed, waits
from podium.control.scheduler.observer import Observer, caches, storage_of
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.preempt import NOT_ELIGIBLE, Budget, Candidate, budget_of, preempt
from podium.control.scheduler.profiles import SchedulerConfig
from podium.control.scheduler.queue import SchedulingQueue

log = logging.getLogger(__name__)

# Bindings on their way at once: enough to share a group commit, few enough to be fair to everybody else's
# writes.
BINDERS = 32
# Seconds of deciding before the loop's others get a turn.
SLICE = 0.004

Permit: TypeAlias = Callable[[Obj, str], Awaitable[None]]
"""Asked with the pod and its node before it is bound; returns when it may be, raises NotBound when it may
not."""


class _Placement(NamedTuple):
    needs: Needs
    pod: Obj
    decision: Decision


class _Notice(NamedTuple):
    """Why a pod waits. `nominated` is as in `notices.unscheduled`; `candidate` whom it displaces."""

    needs: Needs
    reason: str
    message: str
    nominated: str | None = None


class Scheduler:
    """Places the pods that name one of its profiles. `run` until cancelled; the informers are run by whoever
    shares them.

    A pod is decided on, and reserved its place, in one step of the loop; permits, its claims and its binding
    follow beside the next decisions. If one of them fails the reservation is taken back. What the API says
    always wins over what was assumed.
    """

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        recorders: Callable[[str], EventRecorder],
        *,
        config: SchedulerConfig | None = None,
        clock: Clock | None = None,
        permits: Sequence[Permit] = (),
        meter: SchedulingMeter | None = None,
    ) -> None:
        self._client = client
        self._config = config or SchedulerConfig()
        self._known = known = caches(informers)
        self._pods = known.pods
        self._permits = permits
        self._picture = Picture()
        self._queue = SchedulingQueue(
            clock,
            initial_backoff=self._config.initial_backoff,
            max_backoff=self._config.max_backoff,
            namespaces=self._picture.census.namespaces,
        )
        self._meter = meter or SchedulingMeter()
        self._meter.pending = self._queue.counts
        self._observer = Observer(known, self._config, self._picture, self._queue)
        self._storage = storage_of(known)
        self._deciders = {
            name: Decider(self._picture, profile, self._storage, self._observer.owners)
            for name, profile in self._config.profiles.items()
        }
        self._recorders = {name: recorders(name) for name in self._config.profiles}
        main = self._recorders.get(DEFAULT_SCHEDULER) or next(iter(self._recorders.values()))
        self._evictor = Evictor(client, known.pods, main)
        self._volumes = VolumeBinder(client, known, clock)
        self._observer.volumes_changed.append(self._volumes.changed)
        self._bindings: asyncio.Queue[_Placement] = asyncio.Queue(BINDERS)
        self._notices: asyncio.Queue[_Notice] = asyncio.Queue()
        self._slow: dict[str, tuple[_Placement, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """May be run again after it was cancelled: the picture is kept meanwhile."""
        await self._observer.start()
        self._start_over()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(BINDERS):
                tasks.create_task(self._bind_all())
            tasks.create_task(self._tell_all())
            tasks.create_task(self._decide_all(tasks))

    def _start_over(self) -> None:
        """Takes back what a run that was cancelled had reserved and not finished."""
        while not self._bindings.empty():
            self._bindings.get_nowait()
        for placement, _ in self._slow.values():
            if placement.decision.volumes is not None:
                self._storage.release(placement.decision.volumes)
        self._slow.clear()
        # An eviction that was under way may never have been asked for.
        self._picture.leaving.clear()
        for uid in self._queue.reclaim():
            self._picture.remove(uid)

    async def _decide_all(self, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._queue.ready()
            end = loop.time() + SLICE
            while loop.time() < end and (needs := self._queue.pop()) is not None:
                placement = self._decide_safely(needs, tasks)
                if placement is not None:
                    await self._bindings.put(placement)
            await asyncio.sleep(0)

    def _decide_safely(self, needs: Needs, tasks: asyncio.TaskGroup) -> _Placement | None:
        """What is to be bound now; what has to wait for its claims or a permit goes its own way."""
        began = perf_counter()
        try:
            placement = self._decide(needs, tasks)
        except Exception as error:  # one pod's fault must not keep the others waiting
            self._meter.attempted("error", needs.scheduler, perf_counter() - began)
            log.exception("pod %s/%s could not be decided on", needs.namespace, needs.name)
            self._queue.retry(needs.uid)
            self._notices.put_nowait(_Notice(needs, "SchedulerError", str(error)))
            return None
        if placement is not None:
            self._meter.attempted("scheduled", needs.scheduler, perf_counter() - began)
        elif self._queue.tried(needs.uid):
            self._meter.attempted("unschedulable", needs.scheduler, perf_counter() - began)
        if placement is not None and (placement.decision.volumes is not None or self._permits):
            self._slow[needs.uid] = (placement, tasks.create_task(self._bind_slowly(placement)))
            return None
        return placement

    def _decide(self, needs: Needs, tasks: asyncio.TaskGroup) -> _Placement | None:
        pod = self._pods.get(needs.name, needs.namespace)
        if pod is None or pod["metadata"]["uid"] != needs.uid or not waits(pod):
            self._queue.remove(needs.uid)
            return None
        decider = self._deciders[needs.scheduler]
        decision = decider.decide(needs)
        if isinstance(decision, Rejection):
            self._reject(needs, pod, decider, decision, tasks)
            return None
        self._reserve(needs, decision)
        return _Placement(needs, pod, decision)

    def _reserve(self, needs: Needs, decision: Decision) -> None:
        self._picture.forget_nomination(needs.uid)
        self._picture.place(needs.placed(), decision.node)
        if decision.volumes is not None:
            self._storage.promise(decision.volumes)

    def _unreserve(self, placement: _Placement) -> None:
        needs, _, decision = placement
        if decision.volumes is not None:
            self._storage.release(decision.volumes)
        if (pod := self._picture.remove(needs.uid)) is not None:
            self._queue.moved(PodChange(pod, None))

    def _reject(
        self, needs: Needs, pod: Obj, decider: Decider, rejection: Rejection, tasks: asyncio.TaskGroup
    ) -> None:
        found = self._preempt(needs, decider, rejection) if decider.profile.preempts else ""
        self._meter.preempted += isinstance(found, Candidate)
        self._queue.park(needs, rejection.plugins)
        message, nominated = rejection.message, None
        if isinstance(found, Candidate):
            nominated = found.node
            self._make_room(needs, pod, found, tasks)
        else:
            if found:
                message = f"{message} preemption: {found}"
            if not found.startswith(NOT_ELIGIBLE):
                nominated = ""
                self._picture.forget_nomination(needs.uid)
        self._notices.put_nowait(_Notice(needs, "Unschedulable", message, nominated))

    def _make_room(self, needs: Needs, pod: Obj, candidate: Candidate, tasks: asyncio.TaskGroup) -> None:
        """The node is kept for the pod; those who are on it go, and those who expect it expect it no more."""
        node = candidate.node
        demoted = [
            other
            for other in self._picture.nominations.get(node, {}).values()
            if other.priority < needs.priority
        ]
        self._picture.nominate(needs.placed(), node)
        bound = tuple(victim for victim in candidate.victims if victim.uid not in self._slow)
        self._picture.leaving.update(victim.uid for victim in bound)
        tasks.create_task(self._evict(needs, pod, candidate._replace(victims=bound), demoted))
        for victim in candidate.victims:
            if victim.uid in self._slow:
                self._send_back(victim.uid, needs, pod, node)

    def _send_back(self, uid: str, needs: Needs, preemptor: Obj, node: str) -> None:
        """A pod that is not bound yet, since its claims or permits take their time, need not be deleted."""
        placement, task = self._slow.pop(uid)
        task.cancel()
        self._unreserve(placement)
        self._queue.retry(uid)
        message = f"Preempted by pod {needs.uid} on node {node} (in kube-scheduler memory)."
        recorder = self._recorders[needs.scheduler]
        recorder.event(placement.pod, "Normal", "Preempted", message, action="Preempting", related=preemptor)

    def _preempt(self, needs: Needs, decider: Decider, rejection: Rejection) -> Candidate | str:
        if not rejection.failures and not rejection.others:
            return ""
        return preempt(needs, rejection, decider, self._picture, self._budgets)

    def _budgets(self) -> list[Budget]:
        return [budget_of(pdb) for pdb in self._known.budgets.list()]

    async def _evict(self, needs: Needs, pod: Obj, candidate: Candidate, demoted: Sequence[Placed]) -> None:
        try:
            await self._evictor.preempt(needs, pod, candidate, demoted)
        except (StatusError, ConnectionError) as error:
            log.info("preemption for %s/%s failed: %s", needs.namespace, needs.name, error)
            self._picture.leaving.difference_update(victim.uid for victim in candidate.victims)
            self._queue.activate(needs.uid)

    async def _bind_slowly(self, placement: _Placement) -> None:
        """Permits and claims take their time, which must not hold up other pods."""
        needs, pod, decision = placement
        await self._announce(needs, pod, decision.node)
        try:
            for permit in self._permits:
                await permit(pod, decision.node)
            if decision.volumes is not None:
                patience = self._config.profiles[needs.scheduler].bind_timeout
                await self._volumes.bind(needs, decision.volumes, patience)
        except (StatusError, ConnectionError, NotBound) as error:
            self._binding_failed(placement, f'running PreBind plugin "VolumeBinding": {error}', error)
        except Exception as error:  # one pod's fault must not keep the others waiting
            log.exception("pod %s/%s could not be made ready to be bound", needs.namespace, needs.name)
            self._binding_failed(placement, f'running PreBind plugin "VolumeBinding": {error}', error)
        else:
            await self._bindings.put(placement)
        finally:
            self._slow.pop(needs.uid, None)

    async def _announce(self, needs: Needs, pod: Obj, node: str) -> None:
        """Tells others, such as a node autoscaler, where the pod will be, since that may take a while."""
        if (pod.get("status") or {}).get("nominatedNodeName") == node:
            return
        try:
            await notices.write_status(self._client, needs, {"nominatedNodeName": node})
        except (StatusError, ConnectionError) as error:
            log.debug("pod %s/%s: nomination not written: %s", needs.namespace, needs.name, error)

    async def _bind_all(self) -> None:
        while True:
            placement = await self._bindings.get()
            needs, pod, decision = placement
            try:
                await bind(self._client, needs, decision.node)
            except (StatusError, ConnectionError) as error:
                self._binding_failed(placement, f'running Bind plugin "DefaultBinder": {error}', error)
                continue
            if decision.volumes is not None:
                self._storage.release(decision.volumes)
            notices.scheduled(self._recorders[needs.scheduler], pod, needs, decision.node)

    def _binding_failed(self, placement: _Placement, message: str, error: Exception) -> None:
        needs, _, decision = placement
        now = self._pods.get(needs.name, needs.namespace)
        if now is not None and now["metadata"]["uid"] == needs.uid and now["spec"].get("nodeName"):
            return
        log.info("pod %s/%s was not bound to %s: %s", needs.namespace, needs.name, decision.node, error)
        self._unreserve(placement)
        if isinstance(error, StatusError) and error.code == 404 and now is None:
            self._queue.remove(needs.uid)
            return
        self._queue.retry(needs.uid)
        self._notices.put_nowait(_Notice(needs, "SchedulerError", message, ""))

    async def _tell_all(self) -> None:
        while True:
            notice = await self._notices.get()
            needs = notice.needs
            pod = self._pods.get(needs.name, needs.namespace)
            if pod is None or pod["metadata"]["uid"] != needs.uid or pod["spec"].get("nodeName"):
                continue
            try:
                await self._tell(notice, pod)
            except (StatusError, ConnectionError) as error:
                log.debug("pod %s/%s: condition not written: %s", needs.namespace, needs.name, error)

    async def _tell(self, notice: _Notice, pod: Obj) -> None:
        notices.failed(self._recorders[notice.needs.scheduler], pod, notice.message)
        status = notices.unscheduled(pod, notice.reason, notice.message, notice.nominated, meta.timestamp())
        if status is not None:
            await notices.write_status(self._client, notice.needs, status)
