"""The doing of a resize: limits of the pod and of its running containers, in such an order that no container
ever has more than its pod."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from podium.api.types import Obj
from podium.runtime.containerd import ContainerdError
from podium.runtime.oci.resources import effective, pod_resources
from podium.runtime.pods import rules
from podium.runtime.pods.allocation import summary
from podium.runtime.pods.differences import changing
from podium.runtime.pods.model import Resize
from podium.runtime.pods.resize import Change, Memory, below_usage, in_order, updated

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

_PAUSE = timedelta(seconds=10)


class _Refused(Exception):
    """The resize cannot be done now."""


async def resize(worker: PodWorker, _: Resize) -> None:
    """Tells why, and tries again later, when it cannot be done."""
    resizing, pod = worker.observed.resizing, worker.pod
    try:
        await _resize(worker, pod)
    except (_Refused, ContainerdError, OSError) as error:
        log.warning("cannot resize pod %s: %s", rules.full_name(pod), error)
        now = worker.node.now()
        resizing.retry_at = now + _PAUSE
        generation = pod["metadata"].get("generation", 0)
        if resizing.fail(str(error), generation, now) and resizing.progress is not None:
            text = summary("Pod resize error", pod, resizing.progress.generation, str(error))
            worker.node.tell(pod, "Warning", "ResizeError", text)
        return
    if worker.pod is pod or pod_resources(worker.pod) == pod_resources(pod):
        resizing.whole, resizing.settled, resizing.retry_at = False, None, None


async def _resize(worker: PodWorker, pod: Obj) -> None:
    """Raises _Refused, ContainerdError, OSError; what was done until then stays."""
    cgroups = worker.node.containers.cgroups
    wanted = pod_resources(pod)
    found = changing(pod, worker.observed)
    before = await asyncio.to_thread(cgroups.limits, pod)
    used = await asyncio.to_thread(_used, worker, pod, found)
    if why := below_usage(found, Memory(before["memory"], wanted.get("memory"), used)):
        raise _Refused(why)
    for resource, key in (("memory", "memory"), ("cpu", "quota")):
        limit = {key: wanted[key]} if key in wanted else {}
        raises = key in wanted and 0 <= before[key] < wanted[key]
        if resource == "cpu":
            limit["shares"] = wanted["shares"]
        if raises:
            await asyncio.to_thread(cgroups.change, pod, limit)
        for change in in_order(found, resource):
            await _change(worker, pod, change, resource)
        if not raises and limit:
            await asyncio.to_thread(cgroups.change, pod, limit)


def _used(worker: PodWorker, pod: Obj, found: list[Change]) -> dict[str, int]:
    cgroups = worker.node.containers.cgroups
    used = {each.name: cgroups.memory_used(cgroups.container(pod, each.id)) for each in found}
    return used | {"": cgroups.memory_used(cgroups.pod(pod))}


async def _change(worker: PodWorker, pod: Obj, change: Change, resource: str) -> None:
    observed, container = worker.observed, rules.container_named(pod, change.name)
    attempt = observed.find(change.id)
    if container is None or attempt is None or attempt.state != "running":
        return
    resources = updated(attempt.resources or {}, effective(pod, container), resource)
    resized = await worker.node.containers.resize(attempt, resources)
    latest = observed.find(change.id)
    if latest is not None and latest.state == "running":
        observed.put(resized)
    elif latest is not None:
        # Its end was noted meanwhile, and must not be forgotten.
        await worker.node.containers.remember(latest)
