"""What a container that has a process needs: hooks, probes, and attention when it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from podium.api.types import Obj, meta
from podium.runtime import hooks
from podium.runtime.containerd import ContainerdError
from podium.runtime.containerd.tasks import Exit
from podium.runtime.handlers import RUNC
from podium.runtime.pods import rules
from podium.runtime.pods.killing import Killing, stop_signal
from podium.runtime.pods.model import Attempt, KillContainer
from podium.runtime.pods.resize import needs_restart
from podium.runtime.probes.checks import Target
from podium.runtime.probes.prober import Prober
from podium.runtime.signalling import send

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)


class Attendance:
    """Attends to one pod's containers, by id."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._probers: dict[str, Prober] = {}
        self._killings: dict[str, Killing] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._early: dict[str, Exit] = {}

    # A process has begun

    def began(self, container: Obj, attempt: Attempt) -> None:
        """A container was started just now."""
        worker = self._worker
        worker.go(f"remember/{attempt.id}", worker.node.containers.remember(attempt))
        hook = (container.get("lifecycle") or {}).get("postStart")
        if hook:
            worker.go(f"hook/{attempt.id}", self._post_start(hook, container, attempt))
        else:
            self.attend(container, attempt)
        if end := self._early.pop(attempt.id, None):
            self.exited(attempt.id, end)

    async def _post_start(self, hook: Obj, container: Obj, attempt: Attempt) -> None:
        worker = self._worker
        try:
            await hooks.run(hook, self._target(container, attempt), worker.node.containers.commands)
        except hooks.HookError as error:
            log.info("postStart hook of %s failed: %s", attempt.name, error)
            worker.node.tell(
                worker.pod, "Warning", "FailedPostStartHook", "PostStartHook failed", attempt.name
            )
            worker.observed.doomed[attempt.id] = "postStart"
            return
        self.attend(container, attempt)

    def attend(self, container: Obj, attempt: Attempt, *, ready: bool = False, started: bool = False) -> None:
        """Begins to probe. What has no probe counts as well; `ready` and `started` say what an earlier daemon
        knew."""
        observed = self._worker.observed
        if started or "startupProbe" not in container:
            observed.started.add(attempt.id)
        if ready or "readinessProbe" not in container:
            observed.ready.add(attempt.id)
        if any(f"{kind}Probe" in container for kind in ("startup", "readiness", "liveness")):
            probed = {
                name: value for name, value in container.items() if not (started and name == "startupProbe")
            }
            self._probe(probed, attempt)

    def _probe(self, container: Obj, attempt: Attempt) -> None:
        worker = self._worker
        prober = Prober(
            container,
            self._target(container, attempt),
            worker.node.containers.commands,
            started_at=attempt.started_at,
            now=worker.node.now,
            verdict=partial(self._verdict, attempt.id),
            unhealthy=lambda reason, message: worker.node.tell(
                worker.pod, "Warning", reason, message, attempt.name
            ),
            counted=lambda kind, result: worker.probed(kind, result, attempt.name),
        )
        self._probers[attempt.id] = prober
        prober.start()

    def _target(self, container: Obj, attempt: Attempt) -> Target:
        worker = self._worker
        on_host = worker.pod["spec"].get("hostNetwork")
        ips = (worker.node.host_ip,) if on_host else worker.observed.ips
        return Target(container, attempt.id, ips[0] if ips else "")

    def _verdict(self, container_id: str, kind: str, ok: bool) -> None:
        observed = self._worker.observed
        if kind == "readiness":
            (observed.ready.add if ok else observed.ready.discard)(container_id)
        elif kind == "startup" and ok:
            observed.started.add(container_id)
        elif not ok and observed.stopping_since is None:
            observed.doomed[container_id] = kind
        self._worker.wake()

    # A process is to end

    async def kill(self, action: KillContainer) -> None:
        worker = self._worker
        attempt = worker.observed.find(action.id)
        if attempt is None or attempt.state == "exited":
            return
        container = rules.container_named(worker.pod, action.name) or {"name": action.name}
        worker.node.tell(worker.pod, "Normal", "Killing", action.message, action.name)
        if worker.observed.stopping_since is None:
            self._stop_probing(action.id)
        ended = self._ended.setdefault(action.id, asyncio.Event())
        killing = Killing(partial(self._signal, attempt), ended, self._deadline(action))
        self._killings[action.id] = killing
        hook = (container.get("lifecycle") or {}).get("preStop")
        asked = (container.get("lifecycle") or {}).get("stopSignal") or attempt.stop_signal
        try:
            await killing.run(stop_signal(asked), self._before_stop(hook, container, attempt))
        finally:
            self._killings.pop(action.id, None)
            self._ended.pop(action.id, None)

    async def _signal(self, attempt: Attempt, number: int) -> bool:
        worker = self._worker
        runtime = worker.node.config.runtimes.get(worker.node.sandboxes.handler(worker.uid))
        plain = runtime is not None and runtime.type == RUNC
        # What reaches more than one process, or one that is frozen, is the runtime's.
        if plain and number != signal.SIGKILL and send(attempt.pid, attempt.id, number):
            return True
        return await worker.node.containers.signal(worker.pod, attempt, number)

    def _deadline(self, action: KillContainer) -> float:
        age = (self._worker.node.now() - action.since).total_seconds()
        return asyncio.get_running_loop().time() + action.grace - age

    def hasten(self, action: KillContainer) -> None:
        """The container being killed may have to go sooner."""
        if killing := self._killings.get(action.id):
            killing.hasten(self._deadline(action))

    async def _before_stop(self, hook: Obj | None, container: Obj, attempt: Attempt) -> None:
        """A pod that goes is first left alone by its Services: nothing that they send it is refused."""
        worker = self._worker
        async with asyncio.TaskGroup() as group:
            if worker.observed.stopping_since is not None:
                group.create_task(worker.node.network.withdrawn(worker.uid))
            if hook:
                group.create_task(self._pre_stop(hook, container, attempt))

    async def _pre_stop(self, hook: Obj, container: Obj, attempt: Attempt) -> None:
        worker = self._worker
        try:
            await hooks.run(hook, self._target(container, attempt), worker.node.containers.commands)
        except hooks.HookError as error:
            log.info("preStop hook of %s failed: %s", attempt.name, error)
            worker.node.tell(worker.pod, "Warning", "FailedPreStopHook", "PreStopHook failed", attempt.name)

    # A process has ended

    def exited(self, container_id: str, end: Exit) -> None:
        """May be told more than once, and before the start has returned."""
        worker = self._worker
        attempt = worker.observed.find(container_id)
        if attempt is None or attempt.state == "exited" or f"exit/{container_id}" in worker.observed.busy:
            return
        if attempt.state == "created" and f"container/{attempt.name}" in worker.observed.busy:
            self._early[container_id] = end
            return
        self._stop_probing(container_id)
        worker.go(f"exit/{container_id}", self._note_end(attempt, end))

    async def _note_end(self, attempt: Attempt, end: Exit) -> None:
        worker = self._worker
        container = rules.container_named(worker.pod, attempt.name) or {"name": attempt.name}
        if worker.observed.stopping_since is None and worker.observed.failed is None:
            attempt = replace(attempt, again=needs_restart(worker.pod, container, attempt.resources))
        while True:
            try:
                leaving = worker.observed.gone or meta.deleting(worker.pod)
                ended = await worker.node.containers.ended(
                    worker.pod, container, attempt, end, leaving=leaving
                )
                break
            except ContainerdError as error:
                log.warning("cannot note the end of container %s yet: %s", attempt.id, error)
                await asyncio.sleep(1.0)
        observed = worker.observed
        observed.put(ended)
        observed.started.discard(attempt.id)
        observed.ready.discard(attempt.id)
        observed.doomed.pop(attempt.id, None)
        observed.images.pop(attempt.name, None)
        if waiting := self._ended.get(attempt.id):
            waiting.set()

    def dropped(self, container_id: str) -> None:
        """The container got no process: nobody is to wait for its end."""
        self._early.pop(container_id, None)
        if waiting := self._ended.get(container_id):
            waiting.set()

    def _stop_probing(self, container_id: str) -> None:
        if prober := self._probers.pop(container_id, None):
            prober.stop()

    def stop(self) -> None:
        for prober in self._probers.values():
            prober.stop()
        self._probers.clear()
