"""Looks, every ten seconds as kubelet does, at what pods with limits take of the disk, and ends those that
take too much."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from podium.api.types import Obj
from podium.runtime.containerd import ContainerdError
from podium.runtime.pods import limits, rules
from podium.runtime.pods.limits import Taken
from podium.runtime.pods.model import Attempt

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

PERIOD = 10.0


async def watch(workers: Callable[[], Iterable[PodWorker]], period: float = PERIOD) -> None:
    """Until cancelled."""
    while True:
        # Nobody tells what is written to a disk: it has to be looked at.
        await asyncio.sleep(period)
        for worker in list(workers()):
            if not limits.is_limited(worker.pod) or worker.observed.failed or worker.observed.stopping_since:
                continue
            try:
                found = limits.excess(worker.pod, await taken(worker))
            except (ContainerdError, OSError) as error:
                log.warning("cannot tell what pod %s takes: %s", rules.full_name(worker.pod), error)
                continue
            if found is not None:
                log.info("evicting pod %s: %s", rules.full_name(worker.pod), found)
                worker.fail(limits.EVICTED, found)


async def taken(worker: PodWorker) -> Taken:
    """What a pod takes now. Raises ContainerdError, OSError."""
    node, pod = worker.node, worker.pod
    containers = {}
    for name, attempts in worker.observed.attempts.items():
        if attempts:
            written, _ = await node.containers.containerd.snapshots.usage(attempts[-1].id)
            containers[name] = written + await asyncio.to_thread(_logged, worker, attempts[-1])
    stats = {str(each["name"]): int(each["usedBytes"]) for each in await node.volumes.stats(pod)}
    volumes = {name: size for name, size in stats.items() if _on_disk(pod, name)}
    return Taken(containers, volumes)


def _logged(worker: PodWorker, attempt: Attempt) -> int:
    path = worker.node.containers.log_path(worker.pod, attempt)
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.startswith(name))
    except FileNotFoundError:
        return 0


def _on_disk(pod: Obj, name: str) -> bool:
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] == name:
            return "emptyDir" in volume and not (volume["emptyDir"] or {}).get("medium")
    return False
