"""Starting a container that was made, whatever becomes of containerd meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from podium.api.types import Obj
from podium.runtime.containerd import ContainerdError
from podium.runtime.containerd.errors import TimedOut, Unavailable
from podium.runtime.pods import rules
from podium.runtime.pods.containers import StartError
from podium.runtime.pods.model import Attempt, Trouble

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

RETRY = 1.0

Result = TypeVar("Result")


async def start(worker: PodWorker, container: Obj, attempt: Attempt) -> Attempt | None:
    """The running attempt, None when its process could not be started. Raises Unavailable, TimedOut when
    containerd went away before there was a process: then nothing is left of the attempt and it does not
    count."""
    containers = worker.node.containers
    try:
        return await containers.start(worker.pod, container, attempt)
    except StartError as error:
        await _not_started(worker, container, attempt, str(error))
        return None
    except (Unavailable, TimedOut) as error:
        log.warning("containerd did not answer when it started container %s: %s", attempt.id, error)
        settled, end = await _until_done(lambda: containers.settle(worker.pod, container, attempt))
        if settled is None:
            worker.observed.attempts[attempt.name].remove(attempt)
            worker.attendance.dropped(attempt.id)
            raise
        if end is not None:
            worker.exited(attempt.id, end)
        return settled


async def _not_started(worker: PodWorker, container: Obj, attempt: Attempt, message: str) -> None:
    """An attempt without a process is one that has ended: it counts, and the next waits for the back-off."""
    node, observed = worker.node, worker.observed
    ended = await _until_done(lambda: node.containers.failed(worker.pod, container, attempt, message))
    observed.put(ended)
    observed.images.pop(attempt.name, None)
    worker.attendance.dropped(attempt.id)
    now = node.now()
    retry = max(rules.restart_at(ended), now)
    observed.troubles[attempt.name] = Trouble("RunContainerError", message, now, retry)
    node.tell(worker.pod, "Warning", "Failed", f"Error: {message}", attempt.name)


async def _until_done(deed: Callable[[], Awaitable[Result]]) -> Result:
    """What is only half known must not be left so: the next attempt could run beside this one."""
    while True:
        try:
            return await deed()
        except ContainerdError as error:
            log.warning("containerd cannot tell yet what became of a start: %s", error)
            await asyncio.sleep(RETRY)
