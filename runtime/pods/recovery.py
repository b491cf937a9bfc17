"""What a daemon that has just started finds on the machine: the truth it goes on from."""

from __future__ import annotations

import logging
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from podium.api.types import Obj
from podium.runtime.containerd.tasks import Exit, TaskState
from podium.runtime.pods import records
from podium.runtime.pods.containers import Containers
from podium.runtime.pods.model import Attempt, Observed
from podium.runtime.sandbox import Sandboxes

log = logging.getLogger(__name__)

LOST = 255
"""The exit code of a process whose end nobody saw: containerd's own convention."""


@dataclass(slots=True)
class Found:
    """One pod's remains. `ends` are ends of processes that nobody has noted yet, by container id."""

    records: list[records.Record] = field(default_factory=list)
    ends: dict[str, Exit] = field(default_factory=dict)
    ips: tuple[str, ...] = ()

    def seed(self, pod: Obj, sandboxes: Sandboxes) -> Observed:
        """What is known about the pod. A sandbox counts only if its network is connected too."""
        observed = Observed(ips=self.ips)
        if self.ips or pod["spec"].get("hostNetwork"):
            observed.sandbox = sandboxes.name(pod["metadata"]["uid"])
        for record in self.records:
            observed.put(record.attempt)
        return observed


async def find(
    containers: Containers, addresses: Mapping[str, list[str]], *, now: Callable[[], datetime]
) -> dict[str, Found]:
    """Pods' remains by uid. What was half made when a daemon died is removed."""
    found: dict[str, Found] = defaultdict(Found)
    for uid, ips in addresses.items():
        found[uid].ips = tuple(ips)
    tasks = await containers.containerd.tasks.list()
    for raw in await containers.containerd.containers.list(records.FILTER):
        record = records.parse(raw)
        if record is None:
            continue
        task = tasks.get(record.attempt.id)
        if task is None and record.attempt.state != "exited":
            # The list leaves out what did not answer at once.
            task = await containers.containerd.tasks.get(record.attempt.id)
        attempt, end = _placed(record.attempt, task, now())
        if attempt is None:
            await _discard(containers, record)
            continue
        found[record.uid].records.append(record._replace(attempt=attempt))
        if end is not None:
            found[record.uid].ends[attempt.id] = end
    return dict(found)


def _placed(attempt: Attempt, task: TaskState | None, at: datetime) -> tuple[Attempt | None, Exit | None]:
    """Where an attempt is in its life: (None, None) for one that was never started, an end that is still to
    be noted."""
    if attempt.state == "exited":
        return attempt, None
    if task is None:
        return (attempt, Exit(LOST, at)) if attempt.state == "running" else (None, None)
    if task.created:
        return None, None
    started = attempt.started_at if attempt.state == "running" else attempt.created_at
    return replace(attempt, state="running", pid=task.pid, started_at=started), task.exit


async def _discard(containers: Containers, record: records.Record) -> None:
    log.info("removing container %s of pod %s, which was never started", record.attempt.id, record.pod)
    await containers.containerd.tasks.kill(record.attempt.id, signal.SIGKILL)
    await containers.remove(records.orphan([record]), record.attempt)


def known_well(pod: Obj, attempt: Attempt) -> tuple[bool, bool]:
    """(ready, started) of a running container, as the API server was told last."""
    status = pod.get("status") or {}
    for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        if each.get("containerID") == f"containerd://{attempt.id}":
            return bool(each.get("ready")), bool(each.get("started"))
    return False, False
