"""One pod's task: look, decide, begin what was decided, tell the API server, wait for something to happen.

The worker owns what is known about its pod and everything that is under way for it; all of it happens on the
event loop, so that knowledge changes only between looks. Cancelled (the daemon stops), it leaves containers
as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from time import monotonic

from podium.api.types import Obj, meta
from podium.runtime.containerd.tasks import Exit
from podium.runtime.eviction.ranking import EVICTED
from podium.runtime.interfaces import ContainerView, MountedVolume, PodView
from podium.runtime.meters import Probed
from podium.runtime.pods import allocation, deeds, rules
from podium.runtime.pods.admission import REJECTED
from podium.runtime.pods.allocation import summary
from podium.runtime.pods.attendance import Attendance
from podium.runtime.pods.decide import decide
from podium.runtime.pods.differences import differs
from podium.runtime.pods.model import Action, Attempt, KillContainer, Observed
from podium.runtime.pods.node import PodNode
from podium.runtime.pods.publish import Publisher
from podium.runtime.pods.resize import backfilled
from podium.runtime.pods.resizing import Resizes, recalled, remember
from podium.runtime.pods.status import compose, shown_until

log = logging.getLogger(__name__)

PRESSING = {"sandbox", "volumes", "container", "exit", "teardown", "finish"}
"""The kinds of deeds that a pod's start or end waits for and that do not wait themselves."""


class PodWorker:
    """Lives from the pod's arrival on this node until nothing is left of it, here and at the API server.
    `seed` is what a daemon that has just started has found."""

    def __init__(
        self, node: PodNode, pod: Obj, seed: Observed | None = None, *, resizes: Resizes | None = None
    ) -> None:
        self.node = node
        self.desired = pod
        self.promise = recalled(node.containers.layout, pod["metadata"]["uid"])
        self.pod = allocation.applied(pod, self.promise)
        self.observed = seed or Observed()
        self._resizes = resizes
        self.cleared = asyncio.Event()
        """Set once nothing of the pod runs any more."""
        self.volumes: dict[str, MountedVolume] = {}
        self.volumes_changed = False
        self.admitted = False
        self.attendance = Attendance(self)
        self._wake = asyncio.Event()
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._publisher = Publisher(node, lambda: self.pod, self.adopt)
        self._told: dict[str, str] = {}
        self._status: Obj = {}

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def holds(self) -> bool:
        """Whether the pod keeps what it was given here from others."""
        observed = self.observed
        ended = (self.pod.get("status") or {}).get("phase") in rules.TERMINAL
        return self.admitted and not ended and not observed.gone and observed.failed is None

    # What others tell

    def wake(self) -> None:
        self._wake.set()

    def retry_volumes(self) -> None:
        """Volumes that could not be mounted are to be tried again now, not when their back-off ends."""
        self.volumes_changed = True
        if trouble := self.observed.volume_trouble:
            self.observed.volume_trouble = replace(trouble, retry_at=self.node.now())
            self.wake()

    def fail(
        self, reason: str, message: str, *, grace: float | None = None, condition: Obj | None = None
    ) -> None:
        """The node ends the pod: within `grace` seconds, and telling why in a `condition` too."""
        if self.observed.failed is None:
            self.observed.failed = (reason, message)
            self.observed.hurry, self.observed.disruption = grace, condition
            self._tell_failed(reason, message)
            self.wake()

    def adopt(self, pod: Obj) -> None:
        """A version of the pod from the API server; older ones than what is known are ignored, and what was
        heard already, as the answer to a write."""
        new, known = _version(pod), _version(self.pod)
        if new < known or (new == known > 0 and pod is not self.desired):
            return
        self.desired, self.pod = pod, allocation.applied(pod, self.promise)
        self._look_for_resize()
        if meta.deleting(pod) and self.observed.stopping_since is None:
            self.observed.stopping_since = self.node.now()
        self.wake()

    def admit(self) -> None:
        """The node takes the pod: what it asks for is what it was promised."""
        self.admitted = True
        if self.promise is None:
            self._promise()
            return
        self.observed.resizing = backfilled(self.pod)
        self._look_for_resize()

    def _promise(self) -> None:
        self.promise, self.pod = allocation.of(self.desired), self.desired
        if self.holds:
            remember(self.node.containers.layout, self.uid, self.promise)

    def _look_for_resize(self) -> None:
        if self._resizes is None or not self.admitted:
            return
        if self.pod is not self.desired and self.holds and not meta.deleting(self.pod):
            self._resizes.ask(self)
            return
        self.observed.resizing.pending = None
        self._resizes.withdraw(self)
        self._resizes.retry()

    def begin_resize(self) -> None:
        """There is room for what the pod asks for."""
        resizing, generation = self.observed.resizing, self.desired["metadata"].get("generation", 0)
        settled = self.pod["spec"].get("resources") or {}
        self._promise()
        resizing.begin(generation, resizing.settled or settled, self.node.now())
        self.node.tell(
            self.pod, "Normal", "ResizeStarted", summary("Pod resize started", self.pod, generation)
        )
        self.wake()

    def defer_resize(self, reason: str, message: str) -> None:
        """There is none now."""
        generation = self.desired["metadata"].get("generation", 0)
        if self.observed.resizing.defer(message, generation, self.node.now()):
            text = summary(f"Pod resize {reason}", self.desired, generation, message)
            self.node.tell(self.pod, "Warning", "ResizeDeferred", text)
        self.wake()

    def _end_resize(self) -> None:
        if differs(self.pod, self.observed) or (done := self.observed.resizing.end()) is None:
            return
        text = summary("Pod resize completed", self.pod, done.generation)
        self.node.tell(self.pod, "Normal", "ResizeCompleted", text)

    def gone(self, last: Obj) -> None:
        """The API server does not know the pod any more."""
        self.adopt(last)
        self.observed.gone = True
        self.observed.stopping_since = self.observed.stopping_since or self.node.now()
        self.wake()

    def probed(self, kind: str, result: str, container: str) -> None:
        meta = self.pod["metadata"]
        self.node.meters.probed(
            Probed(kind, result, container, meta["name"], meta.get("namespace", ""), self.uid)
        )

    def exited(self, container_id: str, end: Exit) -> None:
        """A container's process has ended. May be told more than once."""
        self.attendance.exited(container_id, end)

    # The loop

    async def run(self) -> None:
        """Returns when nothing is left to do, ever."""
        try:
            while not self._over():
                self._wake.clear()
                began = monotonic()
                at = self._look()
                self.node.meters.looked(self.uid, monotonic() - began)
                await self._until(at)
        finally:
            self.stop()

    def _over(self) -> bool:
        return self.observed.gone and self.observed.cleaned and not self._doing

    def _look(self) -> datetime | None:
        """Decides, begins, publishes; returns when to look again at the latest."""
        now = self.node.now()
        self._end_resize()
        status = self._composed(now)
        most = self.node.config.max_backoff
        plan = decide(self.pod, self.observed, now, phase=status["phase"], max_backoff=most)
        if plan.failed and self.observed.failed is None:
            self.observed.failed = plan.failed
            self._tell_failed(*plan.failed)
            status = self._composed(now)
        for action in plan.actions:
            self._begin(action)
        if status["phase"] == "Running":
            self.node.meters.running(self.uid)
        if not self.observed.gone:
            self._publisher.publish(status)
            self._tell_backoffs(status)
        troubles = [*self.observed.troubles.values()]
        if self.observed.volume_trouble is not None and self.observed.volume_trouble.image:
            troubles.append(self.observed.volume_trouble)
        times = [plan.wake_at, *(shown_until(each) for each in troubles)]
        return min((each for each in times if each is not None and each > now), default=None)

    def _tell_failed(self, reason: str, message: str) -> None:
        """A pod that was refused, or takes what is not its own, is somebody's mistake; one that has had its
        time is not."""
        type_ = "Warning" if message.startswith(REJECTED) or reason == EVICTED else "Normal"
        self.node.tell(self.pod, type_, reason, message.removeprefix(REJECTED))

    def _composed(self, now: datetime) -> Obj:
        host_ip = self.node.host_ip
        self._status = compose(self.pod, self.observed, now, host_ip=host_ip, untold=self._status)
        return self._status

    async def _until(self, at: datetime | None) -> None:
        if at is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, (at - self.node.now()).total_seconds())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _tell_backoffs(self, status: Obj) -> None:
        """Events for containers that have just begun to wait for a back-off."""
        kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        waiting = {
            each["name"]: each["state"].get("waiting") or {}
            for kind in kinds
            for each in status.get(kind) or ()
        }
        for name, state in waiting.items():
            if state.get("reason", "") != self._told.get(name):
                self._tell_backoff(name, state.get("reason", ""), state.get("message", ""))
        self._told = {name: state.get("reason", "") for name, state in waiting.items()}

    def _tell_backoff(self, name: str, reason: str, text: str) -> None:
        if reason == "CrashLoopBackOff":
            message = f"Back-off restarting failed container {name} in pod {rules.full_name(self.pod)}"
            self.node.tell(self.pod, "Warning", "BackOff", message, name)
        elif reason == "ImagePullBackOff":
            # Which image it is says the state's message, before why.
            message = text.partition('": ')[0] + '"'
            self.node.tell(self.pod, "Normal", "BackOff", message, name)
            self.node.tell(self.pod, "Warning", "Failed", "Error: ImagePullBackOff", name)

    # What is under way

    def _begin(self, action: Action) -> None:
        if action.key in self.observed.busy:
            if isinstance(action, KillContainer):
                self.attendance.hasten(action)
            return
        self.go(action.key, deeds.perform(self, action))

    def go(self, key: str, deed: object) -> None:
        """Runs a coroutine as a deed of this pod: no second one of its key meanwhile."""
        assert asyncio.iscoroutine(deed)
        self.observed.busy.add(key)
        task = asyncio.create_task(self._guarded(key, deed), name=f"{key} of {self.uid}")
        self._doing[key] = task

    async def _guarded(self, key: str, deed: object) -> None:
        assert asyncio.iscoroutine(deed)
        pressing = key.partition("/")[0] in PRESSING
        try:
            with self.node.rush.pressing() if pressing else contextlib.nullcontext():
                await deed
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s of pod %s failed", key, rules.full_name(self.pod))
            await asyncio.sleep(1.0)
        finally:
            self.observed.busy.discard(key)
            self._doing.pop(key, None)
            self.wake()

    async def flushed(self) -> None:
        """Returns when the API server has the newest status."""
        await self._publisher.flushed()

    def stop(self) -> None:
        """Ends everything that is under way for the pod; the pod itself goes on."""
        self.attendance.stop()
        self._publisher.stop()
        for task in list(self._doing.values()):
            task.cancel()

    # What others see

    def view(self) -> PodView:
        on_host = self.pod["spec"].get("hostNetwork")
        netns = "" if on_host else str(self.node.sandboxes.layout.netns(self.uid))
        containers = {name: list(self._views(name)) for name in self.observed.attempts}
        return PodView(self.pod, netns, containers)

    def _views(self, name: str) -> Iterator[ContainerView]:
        container = rules.container_named(self.pod, name) or {}
        for attempt in self.observed.attempts[name]:
            yield self._view(container, attempt)

    def _view(self, container: Obj, attempt: Attempt) -> ContainerView:
        containers = self.node.containers
        return ContainerView(
            name=attempt.name,
            id=attempt.id,
            attempt=attempt.number,
            state=attempt.state,
            log_path=containers.log_path(self.pod, attempt),
            terminal=bool(container.get("tty")),
            stdin=containers.fifos(self.pod, container, attempt).stdin if attempt.state == "running" else "",
            pid=attempt.pid,
        )


def _version(pod: Obj) -> int:
    text = pod["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0
