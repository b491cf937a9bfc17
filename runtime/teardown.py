"""Nothing of a node is to stay on the machine: `podium down`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from podium.runtime.cgroups import Cgroups
from podium.runtime.config import Layout, NodeConfig
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.daemon import own_containerd
from podium.runtime.interfaces import PodNetwork, PodVolumes
from podium.runtime.pods import records
from podium.runtime.pods.records import Record
from podium.runtime.sandbox import Sandboxes, remove_tree

log = logging.getLogger(__name__)


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
            uids |= {record.uid for record in await _end_containers(containerd, patience)}
        finally:
            await containerd.close()
    if network is not None:
        uids |= set(await network.known())
    if volumes is not None:
        uids |= await volumes.known()
    await _end_pods(uids, layout, sandboxes, Cgroups(config.cgroup_root), network, volumes)
    await asyncio.to_thread(Cgroups(config.cgroup_root).clear)
    await asyncio.to_thread(_remove_logs, layout, uids)
    if own is not None:
        await own.stop()
        await asyncio.to_thread(remove_tree, own.paths.state)


async def _end_containers(containerd: Containerd, patience: float) -> list[Record]:
    """Kills and removes every container of a pod."""
    parsed = [records.parse(raw) for raw in await containerd.containers.list(records.FILTER)]
    found = [record for record in parsed if record is not None]
    tasks = await containerd.tasks.list()
    ids = [record.attempt.id for record in found if record.attempt.id in tasks]
    await asyncio.gather(*(containerd.tasks.kill(each, signal.SIGTERM) for each in ids))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await asyncio.gather(*(containerd.tasks.wait(each) for each in ids))
    await asyncio.gather(*(_remove(containerd, record.attempt.id) for record in found))
    return found


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
            await volumes.unmount(uid)
        if network is not None:
            await network.teardown(uid, str(layout.netns(uid)))
        await asyncio.to_thread(sandboxes.release, uid)
        await asyncio.to_thread(cgroups.remove, uid)
        await asyncio.to_thread(remove_tree, layout.pod(uid))


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
