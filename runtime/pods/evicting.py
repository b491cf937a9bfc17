"""What pods take of the disk, and the end of those that take more than they may."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from podium.api.types import Obj
from podium.runtime.containerd import ContainerdError
from podium.runtime.eviction.ranking import EVICTED, Used
from podium.runtime.logs.sizes import logged
from podium.runtime.pods import limits, rules
from podium.runtime.pods.limits import Taken
from podium.runtime.pods.model import Attempt

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)


async def over_limits(workers: Iterable[PodWorker]) -> list[PodWorker]:
    """Ends the pods that take more of the disk than they may, and returns them. Nobody tells what is written
    to a disk: it has to be looked at."""
    ended = []
    for worker in list(workers):
        if not limits.is_limited(worker.pod) or worker.observed.failed or worker.observed.stopping_since:
            continue
        try:
            found = limits.excess(worker.pod, await taken(worker))
        except (ContainerdError, OSError) as error:
            log.warning("cannot tell what pod %s takes: %s", rules.full_name(worker.pod), error)
            continue
        if found is not None:
            log.info("evicting pod %s: %s", rules.full_name(worker.pod), found)
            worker.fail(EVICTED, found)
            ended.append(worker)
    return ended


async def taken(worker: PodWorker) -> Taken:
    """What a pod takes now, in bytes. Raises ContainerdError, OSError."""
    containers = {name: size for name, (size, _) in (await _written(worker)).items()}
    return Taken(containers, await _volumes(worker, "usedBytes"))


async def disk_used(worker: PodWorker, *, inodes: bool) -> Used:
    """The pod's disk use as evictions count it, in bytes or files. Raises ContainerdError, OSError."""
    written = {name: each[inodes] for name, each in (await _written(worker)).items()}
    volumes = await _volumes(worker, "inodesUsed" if inodes else "usedBytes")
    return Used(sum(written.values()) + sum(volumes.values()), written)


async def _written(worker: PodWorker) -> dict[str, tuple[int, int]]:
    """(bytes, files) of each container's root file system and its logs."""
    containers = {}
    for name, attempts in worker.observed.attempts.items():
        if attempts:
            size, files = await worker.node.containers.containerd.snapshots.usage(attempts[-1].id)
            logs = await asyncio.to_thread(_logged, worker, attempts[-1])
            containers[name] = (size + logs[0], files + logs[1])
    return containers


async def _volumes(worker: PodWorker, field: str) -> dict[str, int]:
    stats = {str(each["name"]): int(each[field]) for each in await worker.node.volumes.stats(worker.pod)}
    return {name: size for name, size in stats.items() if _on_disk(worker.pod, name)}


def _logged(worker: PodWorker, attempt: Attempt) -> tuple[int, int]:
    folder, name = os.path.split(worker.node.containers.log_path(worker.pod, attempt))
    return logged(folder, (name,))


def _on_disk(pod: Obj, name: str) -> bool:
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] == name:
            return "emptyDir" in volume and not (volume["emptyDir"] or {}).get("medium")
    return False
