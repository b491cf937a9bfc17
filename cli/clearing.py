"""A local node is switched off, or cleared away with all that it has on the machine. Every step is
idempotent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from podium.cli.errors import CommandError
from podium.cli.nodes import LocalNode
from podium.cli.parts import net_config, node_config, volumes
from podium.cli.process import ended, start_time
from podium.client.https import HttpsClient
from podium.netd import host, namespaces, nodelinks
from podium.runtime import mounting, shimprocesses
from podium.runtime.cgroups import group_tree
from podium.runtime.config import Layout
from podium.runtime.daemon import own_containerd
from podium.runtime.sandbox import remove_tree
from podium.runtime.teardown import stop_node

LAST_WORDS = 10.0
"""Seconds that killed processes get to be gone; those in an uninterruptible wait need some."""


def power_off(node: LocalNode) -> None:
    """What a power cut does: its daemon, its containerd, the shims and every container end at once, and what
    a boot would not find again (pins, mounts, sockets) is gone. The first node shares its machine with the
    server, so that only processes end there."""
    config = node_config(node.settings)
    # The daemon first, which would start the others again.
    for find in (lambda: _daemon(node), lambda: _processes(node)):
        _kill(find)
    shimprocesses.kill_of(own_containerd(config).paths.socket)
    _kill(lambda: _processes(node))
    node.daemon.pid_file.unlink(missing_ok=True)
    if not node.first:
        unplug(node)


def unplug(node: LocalNode) -> None:
    """Removes the namespaces, mounts and sockets of a node in which nothing runs any more. What its disk
    holds stays."""
    nodelinks.detach(node.link)
    mounting.unmount(node.uts)
    for mount in mounting.mounts_below(node.settings.data):
        mounting.unmount(mount)
    remove_tree(node.settings.run)


async def clear(node: LocalNode) -> None:
    """Ends what runs in its pods and undoes what was done for them: volumes, namespaces, links, tables. Its
    daemon must not run."""
    config = node_config(node.settings)
    # Whether it has joined or not: what unmounts volumes asks the server for nothing.
    kubeconfig = node.settings.node_kubeconfig if node.first else node.cluster.admin_kubeconfig
    client = HttpsClient.from_kubeconfig(kubeconfig)
    try:
        await stop_node(config, None, volumes(node.settings, client))
    finally:
        await client.close()
    if node.first:
        host.teardown(net_config(node.settings), netns_dir=Layout.of(config).netns_dir)
        return
    await asyncio.to_thread(power_off, node)
    host.forget_ports(net_config(node.settings))


def discard(node: LocalNode) -> None:
    """Forgets a node that is cleared: its folder is out of sight at once, and then gone."""
    hidden = node.settings.data.with_name(f".{node.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(node.settings.data, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _daemon(node: LocalNode) -> list[int]:
    pid = node.daemon.pid()
    return [pid] if pid else []


def _processes(node: LocalNode) -> list[int]:
    """Everything of the node's: its containerd, what is in its pods, and what is in its namespace."""
    config = node_config(node.settings)
    containerd = own_containerd(config).pid()
    found = {*group_tree(config).processes(), *([containerd] if containerd else ())}
    return [*(found if node.first else found | set(_inside(node.link.pin)))]


def _inside(pin: Path) -> Iterator[int]:
    """The processes in the network namespace at `pin`."""
    if not namespaces.pinned(str(pin)):
        return
    wanted = pin.stat()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.path.samestat((entry / "ns" / "net").stat(), wanted):
                    yield int(entry.name)


def _kill(find: Callable[[], list[int]]) -> None:
    """SIGKILLs what is found until nothing is: what is killed may just have started something."""
    deadline = time.monotonic() + LAST_WORDS
    while (pids := [pid for pid in find() if start_time(pid)]) and time.monotonic() < deadline:
        handles = [handle for pid in pids if (handle := _killed(pid)) is not None]
        for handle in handles:
            ended(handle, max(0.0, deadline - time.monotonic()))
            os.close(handle)
    if pids:
        raise CommandError(f"these processes do not end: {', '.join(map(str, pids))}")


def _killed(pid: int) -> int | None:
    """The pidfd of a process that was told to end at once, None when it is gone already."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    return handle
