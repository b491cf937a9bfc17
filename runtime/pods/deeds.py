"""The doing of what was decided. Each deed changes what is known when it is done, or notes the trouble it
met."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import PODS
from podium.runtime import confining
from podium.runtime.archive import ArchiveError
from podium.runtime.containerd import ContainerdError
from podium.runtime.images import Image, PullError
from podium.runtime.oci import PodPaths
from podium.runtime.oci.confinement import selinux
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError
from podium.runtime.pods import resized, rules, runtimes, sources, starting
from podium.runtime.pods.containers import Wanted
from podium.runtime.pods.model import (
    Action,
    BeginAnew,
    CleanUp,
    EnsureImage,
    Finish,
    KillContainer,
    MountVolumes,
    RemoveContainer,
    Resize,
    SetUpSandbox,
    StartContainer,
    TearDown,
    Trouble,
)
from podium.storage.errors import VolumeError

if TYPE_CHECKING:
    from podium.runtime.pods.node import PodNode
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

CLEANUP_WAITS = 5.0
"""Seconds that the remains of a pod lie about, at most, while others start or end."""


async def perform(worker: PodWorker, action: Action) -> None:
    """Does one action of a plan."""
    deeds: dict[type[Action], Callable[..., Awaitable[None]]] = {
        SetUpSandbox: _set_up_sandbox,
        MountVolumes: _mount_volumes,
        BeginAnew: _begin_anew,
        EnsureImage: _ensure_image,
        StartContainer: _start_container,
        KillContainer: _kill_container,
        RemoveContainer: _remove_container,
        Resize: resized.resize,
        TearDown: _tear_down,
        Finish: _finish,
        CleanUp: _clean_up,
    }
    await deeds[type(action)](worker, action)


def _trouble(
    worker: PodWorker, before: Trouble | None, reason: str, message: str, *, first: float, most: float
) -> Trouble:
    """Trouble met now; met again, twice the delay."""
    now = worker.node.now()
    delay = first if before is None else min(before.delay * 2, most)
    return Trouble(reason, message, now, now + timedelta(seconds=delay), delay)


async def _set_up_sandbox(worker: PodWorker, _: SetUpSandbox) -> None:
    node, pod, observed = worker.node, worker.pod, worker.observed
    try:
        handler = await runtimes.handler(node, pod)
        name = await asyncio.to_thread(node.sandboxes.prepare, pod, handler)
        if pod["spec"].get("hostNetwork"):
            ips = [node.host_ip]
        else:
            ips = await node.network.setup(pod, str(node.sandboxes.layout.netns(worker.uid)))
        await asyncio.to_thread(node.sandboxes.connect, pod, ips)
    except Exception as error:
        log.warning("cannot set up pod %s", rules.full_name(pod), exc_info=True)
        reason, what = "FailedCreatePodSandBox", "create pod sandbox"
        if isinstance(error, ConfigError) and error.reason == runtimes.NO_DRIVER:
            reason, what = runtimes.NO_DRIVER, "prepare dynamic resources"
        message = f"Failed to {what}: {error}"
        node.tell(pod, "Warning", reason, message)
        before = observed.sandbox_trouble
        observed.sandbox_trouble = _trouble(worker, before, reason, message, first=1, most=60)
        return
    observed.sandbox, observed.ips, observed.sandbox_trouble = name, tuple(ips), None
    observed.torn_down = observed.cleaned = False


async def _begin_anew(worker: PodWorker, _: BeginAnew) -> None:
    worker.observed.sandbox = await asyncio.to_thread(worker.node.sandboxes.renew, worker.uid)


async def _mount_volumes(worker: PodWorker, _: MountVolumes) -> None:
    observed = worker.observed
    worker.volumes_changed = False
    try:
        worker.volumes = dict(await worker.node.volumes.mount(worker.pod))
    except VolumeError as error:
        _note_missing_volume(worker, error)
        if worker.volumes_changed:
            worker.retry_volumes()
        return
    observed.volumes, observed.volume_trouble = True, None


def _note_missing_volume(worker: PodWorker, error: VolumeError) -> None:
    """What is made of an image waits as containers wait for theirs."""
    before, observed = worker.observed.volume_trouble, worker.observed
    if not error.image:
        observed.volume_trouble = _trouble(worker, before, error.reason, error.message, first=0.5, most=122)
        worker.node.tell(worker.pod, "Warning", error.reason, error.message)
        return
    if before and (before.reason, before.image) != (error.reason, error.image):
        before = None
    trouble = _trouble(worker, before, error.reason, error.message, first=10, most=300)
    observed.volume_trouble = replace(trouble, image=error.image)
    worker.node.tell(worker.pod, "Warning", "Failed", f"Error: {error.reason}")


async def _ensure_image(worker: PodWorker, action: EnsureImage) -> None:
    observed = worker.observed
    container = rules.container_named(worker.pod, action.name)
    if container is None:
        return
    try:
        observed.images[action.name] = await _image(worker, container)
    except (ContainerdError, ArchiveError) as error:
        message = f'Failed to inspect image "{container.get("image", "")}": {error}'
        worker.node.tell(worker.pod, "Warning", "InspectFailed", message, action.name)
        before = observed.troubles.get(action.name)
        trouble = _trouble(worker, before, "ImageInspectError", message, first=2, most=60)
        observed.troubles[action.name] = replace(trouble, image=container.get("image", ""))
    except PullError as error:
        before = observed.troubles.get(action.name)
        image = container.get("image", "")
        before = before if before and (before.reason, before.image) == (error.reason, image) else None
        trouble = _trouble(worker, before, error.reason, str(error), first=10, most=300)
        observed.troubles[action.name] = replace(trouble, image=image)
        worker.node.tell(worker.pod, "Warning", "Failed", f"Error: {error.reason}", action.name)
    else:
        observed.troubles.pop(action.name, None)


async def _image(worker: PodWorker, container: Obj) -> Image:
    """Raises PullError, ContainerdError, ArchiveError."""

    def tell(type_: str, reason: str, message: str) -> None:
        worker.node.tell(worker.pod, type_, reason, message, container["name"])

    policy = container.get("imagePullPolicy", "IfNotPresent")
    return await worker.node.supply.obtain(worker.pod, container.get("image", ""), policy, tell)


async def _start_container(worker: PodWorker, action: StartContainer) -> None:
    container = rules.container_named(worker.pod, action.name)
    if container is None:
        return
    try:
        await _start(worker, container, action)
    except (ConfigError, VolumeError) as error:
        _not_made(worker, action.name, error.reason, str(error))
    except (ContainerdError, OSError, StatusError) as error:
        reason = "CreateContainerConfigError" if isinstance(error, StatusError) else CREATE_ERROR
        _not_made(worker, action.name, reason, str(error))


def _not_made(worker: PodWorker, name: str, reason: str, message: str) -> None:
    observed = worker.observed
    worker.node.tell(worker.pod, "Warning", "Failed", f"Error: {message}", name)
    before = observed.troubles.get(name)
    observed.troubles[name] = _trouble(worker, before, reason, message, first=2, most=10)


async def _start(worker: PodWorker, container: Obj, action: StartContainer) -> None:
    node, pod, observed = worker.node, worker.pod, worker.observed
    env = await sources.container_env(node, pod, container, observed.ips, worker.volumes)
    mounts = await sources.mount_sources(node, pod, container, worker.volumes, env)
    wanted = Wanted(
        pod=pod,
        container=container,
        image=observed.images[action.name],
        env=env,
        paths=_paths(worker, container),
        hostname=node.sandboxes.hostname(pod),
        sandbox=observed.sandbox,
        number=action.number,
        backoff=action.backoff,
        sources=mounts,
        mapped=sources.mapped(container, worker.volumes, mounts),
        volumes=worker.volumes,
        runtime=runtimes.named(node, node.sandboxes.handler(worker.uid)),
    )
    async with node.creating:
        attempt = await node.containers.make(wanted)
        observed.put(attempt)
        node.tell(pod, "Normal", "Created", "Container created", action.name)
        if selinux(pod, container) and not confining.has_selinux():
            why = "seLinuxOptions have no effect: SELinux is not enabled on the host"
            node.tell(pod, "Warning", "SELinuxNotEnabled", why, action.name)
        running = await starting.start(worker, container, attempt)
    if running is None:
        return
    observed.put(running)
    observed.troubles.pop(action.name, None)
    observed.images.pop(action.name, None)
    node.tell(pod, "Normal", "Started", "Container started", action.name)
    worker.attendance.began(container, running)


def _paths(worker: PodWorker, container: Obj) -> PodPaths:
    """The pod's shared files and namespaces. An ephemeral container may ask for another's processes. Raises
    ConfigError when that one does not run."""
    paths = worker.node.sandboxes.paths(worker.pod)
    name = container.get("targetContainerName")
    if not name or paths.pid or worker.pod["spec"].get("hostPID"):
        return paths
    target = worker.observed.latest(name)
    if target is None or target.state != "running":
        raise ConfigError(f'target container "{name}" does not run')
    return replace(paths, pid=f"/proc/{target.pid}/ns/pid")


async def _kill_container(worker: PodWorker, action: KillContainer) -> None:
    await worker.attendance.kill(action)


async def _remove_container(worker: PodWorker, action: RemoveContainer) -> None:
    attempt = worker.observed.find(action.id)
    if attempt is not None:
        await worker.node.containers.remove(worker.pod, attempt)
        worker.observed.attempts[action.name].remove(attempt)


async def _tear_down(worker: PodWorker, _: TearDown) -> None:
    node, observed = worker.node, worker.observed
    worker.attendance.stop()
    await asyncio.gather(node.volumes.unmount(worker.uid), _disconnect(worker))
    await asyncio.to_thread(_release, node, worker.uid)
    observed.sandbox, observed.volumes = "", False
    observed.torn_down = True
    worker.cleared.set()


def _release(node: PodNode, uid: str) -> None:
    node.sandboxes.release(uid)
    node.containers.cgroups.remove(uid)


async def _clean_up(worker: PodWorker, _: CleanUp) -> None:
    node, pod, observed = worker.node, worker.pod, worker.observed
    await node.rush.over(CLEANUP_WAITS)
    async with node.removing:
        known = [each for attempts in observed.attempts.values() for each in attempts]
        await asyncio.gather(*(node.containers.remove(pod, each) for each in known))
        await asyncio.to_thread(node.sandboxes.remove_files, pod)
    observed.cleaned = True


async def _disconnect(worker: PodWorker) -> None:
    if not worker.pod["spec"].get("hostNetwork"):
        netns = worker.node.sandboxes.layout.netns(worker.uid)
        await worker.node.network.teardown(worker.uid, str(netns))


async def _finish(worker: PodWorker, _: Finish) -> None:
    """The API server is told how the pod ended before it is told to forget it."""
    await worker.flushed()
    metadata = worker.pod["metadata"]
    try:
        await worker.node.client.delete(
            PODS, metadata["name"], metadata.get("namespace", ""), grace_seconds=0, uid=worker.uid
        )
    except StatusError as error:
        if error.code not in (404, 409):
            raise
    worker.observed.finished = True
