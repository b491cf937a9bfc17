"""The edge: informer events into the picture and the queue, decisions into bindings, conditions and
Events."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.control.scheduler.decide import Rejection, decide
from podium.control.scheduler.needs import DEFAULT_SCHEDULER, Needs, cost_of, finished, needs_of, waits
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.queue import SchedulingQueue

log = logging.getLogger(__name__)

# Bindings on their way at once: enough to share a group commit, few enough to be fair to everybody else's
# writes.
BINDERS = 32
# Seconds of deciding before the loop's others get a turn.
SLICE = 0.004


class _Placement(NamedTuple):
    needs: Needs
    pod: Obj
    node: str


class Scheduler:
    """Places the pods that name it. `run` until cancelled; the informers (all pods, all nodes) are run by
    whoever shares them.

    A pod is decided on and assumed to be there in one step of the loop; its binding is written beside the
    next decisions. If that fails the assumption is taken back. What the API says always wins over what was
    assumed.
    """

    def __init__(
        self,
        client: Client,
        pods: Informer,
        nodes: Informer,
        recorder: EventRecorder,
        *,
        name: str = DEFAULT_SCHEDULER,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._recorder = recorder
        self._name = name
        self._picture = Picture()
        self._queue = SchedulingQueue(clock)
        self._bindings: asyncio.Queue[_Placement] = asyncio.Queue(BINDERS)
        self._notices: asyncio.Queue[tuple[Needs, Rejection]] = asyncio.Queue()
        self._listening = False

    async def run(self) -> None:
        """May be run again after it was cancelled, as a leader may be elected again: the picture is kept
        meanwhile."""
        await self._nodes.synced()
        await self._pods.synced()
        if not self._listening:
            self._listening = True
            self._nodes.add_handler(self._node_changed)
            self._pods.add_handler(self._pod_changed)
        self._start_over()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(BINDERS):
                tasks.create_task(self._bind_all())
            tasks.create_task(self._tell_all())
            tasks.create_task(self._decide_all())

    def _start_over(self) -> None:
        """Takes back what a run that was cancelled had assumed and not finished."""
        while not self._bindings.empty():
            self._bindings.get_nowait()
        for uid in self._queue.reclaim():
            self._picture.remove(uid)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._picture.remove_node(old["metadata"]["name"])
            return
        if changes := self._picture.set_node(new):
            self._queue.moved(*changes)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._gone(old["metadata"]["uid"])
            return
        uid = new["metadata"]["uid"]
        if finished(new):
            self._gone(uid)
        elif node := new["spec"].get("nodeName"):
            self._queue.remove(uid)
            if old is None or old["spec"] != new["spec"] or self._picture.node_of(uid) != node:
                self._placed(uid, node, new["spec"])
        elif waits(new, self._name):
            if old is None or uid not in self._queue or old["spec"] != new["spec"]:
                self._queue.add(needs_of(new))
        else:
            self._queue.remove(uid)

    def _placed(self, uid: str, node: str, spec: Obj) -> None:
        if self._picture.place(uid, node, cost_of(spec)):
            # Resized in place, or bound by somebody else than was assumed: room may have become free.
            self._queue.moved("pod gone")

    def _gone(self, uid: str) -> None:
        self._queue.remove(uid)
        if self._picture.remove(uid):
            self._queue.moved("pod gone")

    async def _decide_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._queue.ready()
            end = loop.time() + SLICE
            while loop.time() < end and (needs := self._queue.pop()) is not None:
                placement = self._decide_safely(needs)
                if placement is not None:
                    await self._bindings.put(placement)
            await asyncio.sleep(0)

    def _decide_safely(self, needs: Needs) -> _Placement | None:
        try:
            return self._decide(needs)
        except Exception:  # one pod's fault must not keep the others waiting
            log.exception("pod %s/%s could not be decided on", needs.namespace, needs.name)
            self._queue.retry(needs.uid)
            return None

    def _decide(self, needs: Needs) -> _Placement | None:
        pod = self._pods.get(needs.name, needs.namespace)
        if pod is None or pod["metadata"]["uid"] != needs.uid:
            self._queue.remove(needs.uid)
            return None
        decision = decide(needs, self._picture)
        if isinstance(decision, Rejection):
            self._queue.park(needs, decision.plugins)
            self._notices.put_nowait((needs, decision))
            return None
        self._picture.place(needs.uid, decision, needs.cost)
        return _Placement(needs, pod, decision)

    async def _bind_all(self) -> None:
        while True:
            placement = await self._bindings.get()
            try:
                await self._bind(placement)
            except (StatusError, ConnectionError) as error:
                self._binding_failed(placement, error)

    async def _bind(self, placement: _Placement) -> None:
        needs, pod, node = placement
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": needs.name, "namespace": needs.namespace, "uid": needs.uid},
            "target": {"kind": "Node", "name": node},
        }
        await self._client.create(PODS, binding, needs.namespace, name=needs.name, subresource="binding")
        message = f"Successfully assigned {needs.namespace}/{needs.name} to {node}"
        self._recorder.event(pod, "Normal", "Scheduled", message)

    def _binding_failed(self, placement: _Placement, error: Exception) -> None:
        needs = placement.needs
        now = self._pods.get(needs.name, needs.namespace)
        if now is not None and now["metadata"]["uid"] == needs.uid and now["spec"].get("nodeName"):
            return
        log.info("pod %s/%s was not bound to %s: %s", needs.namespace, needs.name, placement.node, error)
        self._picture.remove(needs.uid)
        self._queue.moved("pod gone")
        if isinstance(error, StatusError) and error.code == 404:
            self._queue.remove(needs.uid)
            return
        self._queue.retry(needs.uid)
        self._recorder.event(placement.pod, "Warning", "FailedScheduling", f"binding rejected: {error}")

    async def _tell_all(self) -> None:
        while True:
            needs, rejection = await self._notices.get()
            pod = self._pods.get(needs.name, needs.namespace)
            if pod is None or pod["metadata"]["uid"] != needs.uid or pod["spec"].get("nodeName"):
                continue
            try:
                await self._tell(needs, pod, rejection)
            except (StatusError, ConnectionError) as error:
                log.debug("pod %s/%s: condition not written: %s", needs.namespace, needs.name, error)

    async def _tell(self, needs: Needs, pod: Obj, rejection: Rejection) -> None:
        """Says why the pod waits: an Event each time, the condition when it changed."""
        self._recorder.event(pod, "Warning", "FailedScheduling", rejection.message)
        present = meta.condition(pod, "PodScheduled") or {}
        wanted = {"status": "False", "reason": "Unschedulable", "message": rejection.message}
        if wanted.items() <= present.items():
            return
        changed = present.get("status") != "False"
        since = meta.timestamp() if changed else present.get("lastTransitionTime") or meta.timestamp()
        condition: Obj = {
            "type": "PodScheduled",
            "lastProbeTime": None,
            "lastTransitionTime": since,
            **wanted,
        }
        if generation := pod["metadata"].get("generation"):
            condition["observedGeneration"] = generation
        patch = {"metadata": {"uid": needs.uid}, "status": {"conditions": [condition]}}
        await self._client.patch(
            PODS, needs.name, patch, needs.namespace, kind="strategic", subresource="status"
        )
