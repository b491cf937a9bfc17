"""What to do next about a pod: a pure function of the pod, what is known about it on this machine, and the
time.

Level-triggered: it looks at how things are, never at what happened, so that it can be asked at any moment,
also by a daemon that has just started. Actions that are under way are not decided again (but for a kill,
which may have to hurry).

Invariants: at most one attempt of a container has a process; nothing is started once the pod ends; nothing is
torn down while a container has a process or is being started; the API object goes when nothing of the pod
has an effect any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from podium.api.types import Obj, meta
from podium.runtime.eviction.ranking import EVICTED
from podium.runtime.pods import rules
from podium.runtime.pods.admission import refusal
from podium.runtime.pods.differences import changing, restarting
from podium.runtime.pods.model import (
    MIN_GRACE,
    Action,
    Attempt,
    BeginAnew,
    CleanUp,
    EnsureImage,
    Finish,
    KillContainer,
    MountVolumes,
    Observed,
    Plan,
    RemoveContainer,
    Resize,
    SetUpSandbox,
    StartContainer,
    TearDown,
)
from podium.runtime.pods.resize import needs_restart

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

DEFAULT_GRACE = 30

START_TAKES = timedelta(seconds=3)
"""A start that has gone on for longer may never end."""


def decide(
    pod: Obj, observed: Observed, now: datetime, *, phase: str, max_backoff: int = rules.MAX_BACKOFF
) -> Plan:
    """The next steps. `phase` is the pod's phase of what is known now (`status.compose`)."""
    failed = observed.failed or _past_deadline(pod, now) or refusal(pod)
    if observed.gone or meta.deleting(pod) or failed or phase in rules.TERMINAL:
        steps = _Steps(pod, observed, now)
        steps.end(phase)
        return Plan(tuple(steps.actions), steps.wake_at, failed)
    steps = _Steps(pod, observed, now, max_backoff)
    steps.wake(_deadline(pod))
    steps.go_on()
    return Plan(tuple(steps.actions), steps.wake_at)


def _deadline(pod: Obj) -> datetime | None:
    seconds, start = pod["spec"].get("activeDeadlineSeconds"), (pod.get("status") or {}).get("startTime")
    if seconds is None or not start:
        return None
    return meta.parse_time(start) + timedelta(seconds=seconds)


def _past_deadline(pod: Obj, now: datetime) -> tuple[str, str] | None:
    deadline = _deadline(pod)
    return DEADLINE if deadline is not None and now >= deadline else None


class _Steps:
    """The decisions of one moment, being collected."""

    def __init__(
        self, pod: Obj, observed: Observed, now: datetime, max_backoff: int = rules.MAX_BACKOFF
    ) -> None:
        self.max_backoff = max_backoff
        self.pod = pod
        self.observed = observed
        self.now = now
        self.actions: list[Action] = []
        self.wake_at: datetime | None = None

    def add(self, action: Action) -> None:
        if action.key not in self.observed.busy or isinstance(action, KillContainer):
            self.actions.append(action)

    def wake(self, at: datetime | None) -> None:
        if at is not None and at > self.now and (self.wake_at is None or at < self.wake_at):
            self.wake_at = at

    def blocked(self, until: datetime | None) -> bool:
        """Whether to wait until then."""
        self.wake(until)
        return until is not None and until > self.now

    # Ending

    def end(self, phase: str) -> None:
        """Kills what runs, tears down, lets the API object go, and then removes what nobody waits for."""
        observed = self.observed
        alive = observed.alive()
        if alive or any(key.startswith("container/") for key in observed.busy):
            self._kill_all(alive)
            return
        if observed.busy & {"sandbox", "volumes"}:
            return
        leaving = observed.gone or meta.deleting(self.pod)
        if not observed.torn_down and (leaving or phase in rules.TERMINAL):
            self.add(TearDown())
        elif leaving and not observed.gone and not observed.finished:
            self.add(Finish())
        elif leaving and not observed.cleaned:
            self.add(CleanUp())

    def _kill_all(self, alive: list[Attempt]) -> None:
        """Sidecars outlast the containers they serve, and end in the reverse order of their starts."""
        sidecars = [each["name"] for each in rules.init_containers(self.pod) if rules.is_sidecar(each)]
        others = [each for each in alive if each.name not in sidecars]
        chosen = others or sorted(alive, key=lambda each: sidecars.index(each.name))[-1:]
        since = self.observed.stopping_since or self.now
        for attempt in chosen:
            if self._starting(attempt):
                continue
            message = f"Stopping container {attempt.name}"
            self.add(KillContainer(attempt.id, attempt.name, self._grace(), since, message))

    def _starting(self, attempt: Attempt) -> bool:
        """What is only just being started would seem to have failed to if it were killed now."""
        if attempt.state != "created" or f"container/{attempt.name}" not in self.observed.busy:
            return False
        return self.blocked(attempt.created_at + START_TAKES)

    def _grace(self) -> float:
        """Seconds from the order to end until SIGKILL."""
        asked = self.pod["metadata"].get("deletionGracePeriodSeconds")
        own = self.pod["spec"].get("terminationGracePeriodSeconds")
        grace = next((each for each in (asked, own) if each is not None), DEFAULT_GRACE)
        if self.observed.failed and self.observed.failed[0] == EVICTED:
            grace = 1 if self.observed.hurry is None else self.observed.hurry
        if self.observed.gone and asked is None:
            grace = 1
        return max(float(grace), MIN_GRACE)

    # Running

    def _resize(self) -> None:
        """What has to be restarted for it ends first, so that its memory is free."""
        resizing = self.observed.resizing
        if not self.observed.alive() or restarting(self.pod, self.observed):
            return
        if (resizing.whole or changing(self.pod, self.observed)) and not self.blocked(resizing.retry_at):
            self.add(Resize())

    def go_on(self) -> None:
        """Brings the pod up, and keeps it up."""
        if rules.restarting_all(self.pod, self.observed):
            self._restart_all()
            return
        self._kill_doomed()
        self._remove_old()
        self._resize()
        wanted = list(self._to_start())
        for container in wanted:
            self._image(container)
        if not self._grounded():
            return
        for container in wanted:
            self._start(container)

    def _restart_all(self) -> None:
        """Everything but what was added to look into the pod ends at once, and then begins again."""
        added = {each["name"] for each in rules.ephemeral_containers(self.pod)}
        alive = [each for each in self.observed.alive() if each.name not in added]
        for attempt in (each for each in alive if not self._starting(each)):
            message = f"Stopping container {attempt.name}"
            self.add(KillContainer(attempt.id, attempt.name, MIN_GRACE, self.now, message))
        starting = {key.partition("/")[2] for key in self.observed.busy if key.startswith("container/")}
        if not alive and not starting - added:
            self.add(BeginAnew())

    def _grounded(self) -> bool:
        """Sandbox and volumes: set up side by side."""
        ready = True
        observed = self.observed
        if not observed.sandbox:
            ready = False
            trouble = observed.sandbox_trouble
            if not self.blocked(trouble.retry_at if trouble else None):
                self.add(SetUpSandbox())
        if not observed.volumes:
            ready = False
            trouble = observed.volume_trouble
            if not self.blocked(trouble.retry_at if trouble else None):
                self.add(MountVolumes())
        return ready

    def _to_start(self) -> Iterator[Obj]:
        """Containers that have no process and should have one, by the order of things: ephemeral ones
        whenever they come, init containers one after the other, sidecars among them beside what follows,
        then all others at once."""
        yield from (each for each in rules.ephemeral_containers(self.pod) if self._idle(each))
        finished_init = bool(self.observed.sandbox) and rules.initialized(self.pod, self.observed)
        for container in rules.init_containers(self.pod):
            attempt = self._current(container)
            if rules.is_sidecar(container):
                if attempt is None or attempt.state == "exited":
                    yield container
                if not finished_init and (attempt is None or attempt.id not in self.observed.started):
                    return
            elif not finished_init and not (attempt and attempt.state == "exited" and attempt.exit_code == 0):
                if attempt is None or attempt.state == "exited":
                    yield container
                return
        yield from (each for each in rules.app_containers(self.pod) if self._idle(each))

    def _idle(self, container: Obj) -> bool:
        latest = self.observed.latest(container["name"])
        return latest is None or latest.state == "exited"

    def _current(self, container: Obj) -> Attempt | None:
        """The latest attempt, if it belongs to this sandbox: init containers run again in a new one."""
        latest = self.observed.latest(container["name"])
        return latest if latest and latest.sandbox == self.observed.sandbox else None

    def _due(self, container: Obj) -> bool:
        """Whether a container may start now, back-offs over and its restart policy willing."""
        latest = self.observed.latest(container["name"])
        if latest is not None:
            fresh_sandbox = latest.sandbox != self.observed.sandbox and container in rules.init_containers(
                self.pod
            )
            anew = rules.of_earlier_round(latest, self.observed)
            returns = anew or latest.again or rules.restarts(self.pod, container, latest.exit_code)
            if not fresh_sandbox and not returns:
                return False
            if anew and not rules.begins_anew(container, latest):
                return True
            if self.blocked(rules.restart_at(latest)):
                return False
        elif (code := rules.lost_end(rules.told(self.pod, container["name"]))) is not None:
            # Init containers run again in a new sandbox; others only if their policy says so.
            once = container in rules.init_containers(self.pod)
            if not once and not rules.restarts(self.pod, container, code):
                return False
        trouble = self.observed.troubles.get(container["name"])
        return not self.blocked(trouble.retry_at if trouble and trouble.concerns(container) else None)

    def _image(self, container: Obj) -> None:
        name = container["name"]
        if name not in self.observed.images and self._due(container):
            self.add(EnsureImage(name, pull=container.get("imagePullPolicy") == "Always"))

    def _start(self, container: Obj) -> None:
        name = container["name"]
        if name not in self.observed.images or not self._due(container):
            return
        latest = self.observed.latest(name)
        self.add(
            StartContainer(name, self._number(name, latest), rules.next_backoff(latest, self.max_backoff))
        )

    def _number(self, name: str, latest: Attempt | None) -> int:
        """The count of restarts goes on even when nothing of the attempts before is on the machine."""
        if latest is not None:
            return latest.number + 1
        before = rules.told(self.pod, name)
        return int((before or {}).get("restartCount", 0)) + (rules.lost_end(before) is not None)

    def _kill_doomed(self) -> None:
        """Containers that failed a probe or a hook, or whose definition has changed."""
        for attempt in self.observed.alive():
            container = rules.container_named(self.pod, attempt.name)
            if container is None:
                continue
            message, grace = self._doom(container, attempt)
            if message:
                since = self.observed.stopping_since or self.now
                self.add(KillContainer(attempt.id, attempt.name, grace, since, message))

    def _doom(self, container: Obj, attempt: Attempt) -> tuple[str, float]:
        kind = "Init container" if container in rules.init_containers(self.pod) else "Container"
        grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE))
        again = ", will be restarted" if rules.restarts(self.pod, container, 1) else ""
        why = self.observed.doomed.get(attempt.id)
        if why == "postStart":
            return "FailedPostStartHook", max(grace, MIN_GRACE)
        if why is not None:
            probe = container.get(f"{why}Probe") or {}
            grace = float(probe.get("terminationGracePeriodSeconds", grace))
            return f"{kind} {attempt.name} failed {why} probe{again}", max(grace, MIN_GRACE)
        if attempt.state == "running" and needs_restart(self.pod, container, attempt.resources):
            return f"Container {attempt.name} resize requires restart", max(grace, MIN_GRACE)
        if attempt.spec_hash and attempt.spec_hash != rules.spec_hash(container):
            return f"{kind} {attempt.name} definition changed, will be restarted", max(grace, MIN_GRACE)
        return "", 0.0

    def _remove_old(self) -> None:
        """Of each container the newest attempt and the one before it are kept: for `lastState` and its
        log."""
        for attempts in self.observed.attempts.values():
            for attempt in attempts[:-2]:
                if attempt.state == "exited":
                    self.add(RemoveContainer(attempt.id, attempt.name))
