"""Nothing of a node is to stay on the machine: `podium down`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from podium.runtime import shimprocesses
from podium.runtime.cgroups import Cgroups, group_tree
from podium.runtime.config import Layout, NodeConfig
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.containerd.channel import NAMESPACE
from podium.runtime.containerd.tasks import TaskState
from podium.runtime.daemon import own_containerd
from podium.runtime.interfaces import PodNetwork, PodVolumes
from podium.runtime.pods import records
from podium.runtime.pods.records import Record
from podium.runtime.sandbox import Sandboxes, remove_tree

log = logging.getLogger(__name__)

# What the shims of any containerd make on their way to their sockets and runc's state, and leave there.
_SHIM_FOLDERS = tuple(
    Path("/run/containerd", *parts) for parts in (("runc", NAMESPACE), ("runc",), ("s",), ())
)


async def stop_node(
    config: NodeConfig,
    network: PodNetwork | None = None,
    volumes: PodVolumes | None = None,
    *,
    patience: float = 3.0,
) -> None:
    """Ends the containers, takes their networks and volumes away, ends an own containerd. No daemon may run
    meanwhile. Containers get `patience` seconds to end by themselves. The images and what the API server
    knows stay; pods are made anew at the next start. Idempotent."""
    layout = Layout.of(config)
    sandboxes = Sandboxes(layout, cluster_dns=(), cluster_domain="", resolv_conf=config.resolv_conf)
    own = None if config.containerd_socket else own_containerd(config)
    uids = sandboxes.known()
    running = own is None or own.pid() is not None
    if own is not None and not running and (uids or own.paths.state.exists()):
        # Shims outlive containerd: only it can tell which are whose.
        await own.ensure()
        running = True
    if running:
        containerd = Containerd(config.containerd_socket or own_containerd(config).paths.socket)
        try:
            found = await _end_containers(containerd, patience, everything=own is not None)
            uids |= {record.uid for record in found}
        finally:
            await containerd.close()
    if network is not None:
        uids |= set(await network.known())
    if volumes is not None:
        uids |= await volumes.known()
    await _end_pods(uids, layout, sandboxes, group_tree(config), network, volumes)
    if volumes is not None:
        await volumes.release_unused()
    await asyncio.to_thread(group_tree(config).clear)
    await asyncio.to_thread(_remove_logs, layout, uids)
    if own is not None:
        await own.stop()
        await asyncio.to_thread(shimprocesses.kill_of, own.paths.socket)
        await asyncio.to_thread(remove_tree, own.paths.state)
        await asyncio.to_thread(_remove_empty, _SHIM_FOLDERS)


async def _end_containers(containerd: Containerd, patience: float, *, everything: bool) -> list[Record]:
    """Kills and removes every container of a pod, with `everything` also processes that nobody has a record
    of."""
    parsed = [records.parse(raw) for raw in await containerd.containers.list(records.FILTER)]
    found = [record for record in parsed if record is not None]
    tasks = await containerd.tasks.list()
    known = {record.attempt.id for record in found}
    await asyncio.gather(*(_ask(containerd, each, patience) for each in known & tasks.keys()))
    await asyncio.gather(*(_remove(containerd, each) for each in known))
    if everything:
        recorded = {raw.id for raw in await containerd.containers.list()}
        for each in tasks.keys() - recorded - known:
            _kill_unrecorded(tasks[each])
    return found


async def _ask(containerd: Containerd, container_id: str, patience: float) -> None:
    """SIGTERM, and some time to follow it."""
    with contextlib.suppress(TimeoutError, ContainerdError):
        await containerd.tasks.kill(container_id, signal.SIGTERM)
        async with asyncio.timeout(patience):
            await containerd.tasks.wait(container_id)


def _kill_unrecorded(task: TaskState) -> None:
    """containerd does nothing for a task without a record: its process and its shim have to be told
    themselves."""
    if shim := shimprocesses.shim_of(task.pid):
        for pid in (task.pid, shim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def _remove(containerd: Containerd, container_id: str) -> None:
    try:
        if await containerd.tasks.kill(container_id, signal.SIGKILL, everyone=True):
            await containerd.tasks.wait(container_id)
        await containerd.tasks.delete(container_id)
        await containerd.containers.delete(container_id)
        await containerd.snapshots.remove(container_id)
    except ContainerdError as error:
        log.warning("cannot remove container %s: %s", container_id, error)


async def _end_pods(
    uids: set[str],
    layout: Layout,
    sandboxes: Sandboxes,
    cgroups: Cgroups,
    network: PodNetwork | None,
    volumes: PodVolumes | None,
) -> None:
    for uid in sorted(uids):
        if volumes is not None:
            await volumes.unmount(uid, keep=True)
        if network is not None:
            await network.teardown(uid, str(layout.netns(uid)))
        await asyncio.to_thread(sandboxes.release, uid)
        await asyncio.to_thread(cgroups.remove, uid)
        await asyncio.to_thread(_remove_files, layout.pod(uid))


def _remove_files(folder: Path) -> None:
    """A pod's files but for its volumes': they are there again when the pod is."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if not entry.is_dir():
            entry.unlink()
        elif entry.name != "volumes":
            remove_tree(entry)
    _remove_empty((folder,))


def _remove_logs(layout: Layout, uids: set[str]) -> None:
    """The logs of those pods, and the links to them."""
    if not layout.log_dir.is_dir():
        return
    for folder in layout.log_dir.iterdir():
        if folder.name.rpartition("_")[2] in uids:
            remove_tree(folder)
    links = layout.log_dir.parent / "containers"
    for link in links.iterdir() if links.is_dir() else ():
        if link.is_symlink() and link.readlink().is_relative_to(layout.log_dir) and not link.exists():
            link.unlink()
    _remove_empty((links, layout.log_dir))


def _remove_empty(folders: Iterable[Path]) -> None:
    """Removes those in which nobody else has anything, inner ones first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
