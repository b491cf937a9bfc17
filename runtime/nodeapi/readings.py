"""Looks at everything that statistics are made of: files of the kernel, in threads, and containerd for what
containers have written."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

from podium.api.types import Obj
from podium.api.types.meta import parse_time
from podium.runtime.containerd.errors import ContainerdError
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.logs.sizes import logged
from podium.runtime.nodeapi.cadvisor import Group, named
from podium.runtime.nodeapi.details import Details, details, pressures
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.nodemetrics import Process
from podium.runtime.nodeapi.request import container_status
from podium.runtime.nodeapi.summary import ContainerUsage, NodeUsage, PodUsage
from podium.runtime.nodeapi.usage import (
    FileSystem,
    Usage,
    booted_at,
    file_system,
    group_usage,
    memory_capacity,
    node_usage,
    pids,
    process_usage,
    resident_memory,
    swap,
    traffic,
)

# Seconds that the size of what a container has written is good for: telling it means walking its files.
WRITTEN_FOR = 30.0


class Readings:
    def __init__(self, node: Node) -> None:
        self._node = node
        # Container → when it was looked at, and what it was.
        self._written: dict[str, tuple[float, tuple[int, int]]] = {}

    async def quick(self) -> NodeUsage:
        """What the resource metrics need."""
        return await asyncio.to_thread(self._read, self._node.pods.views(), False)

    async def whole(self) -> NodeUsage:
        """What the Summary needs."""
        views = self._node.pods.views()
        await self._look_at_written([each for view in views for each in running(view)])
        return await asyncio.to_thread(self._read, views, True)

    async def groups(self) -> list[Group]:
        """What cadvisor's metrics need."""
        return await asyncio.to_thread(self._groups, self._node.pods.views())

    def process(self) -> Process:
        times = os.times()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = booted_at() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
        open_files = len(os.listdir("/proc/self/fd"))
        return Process(
            times.user + times.system, resident_memory(), int(fields[20]), started, open_files, most
        )

    async def _look_at_written(self, containers: list[ContainerView]) -> None:
        now, known = time.monotonic(), {each.id for each in containers}
        self._written = {key: found for key, found in self._written.items() if key in known}
        for each in containers:
            if each.id in self._written and now - self._written[each.id][0] < WRITTEN_FOR:
                continue
            try:
                found = await self._node.containerd.snapshots.usage(each.id)
            except ContainerdError:
                # It has just gone, or containerd is away: it is told without.
                continue
            self._written[each.id] = (now, found)

    def _read(self, views: list[PodView], whole: bool) -> NodeUsage:
        node, pods = self._node, [self._pod(view, whole) for view in views]
        usage = node_usage(node.cgroups)
        if not whole:
            return NodeUsage(node.config.node_name, usage, pods, memory_capacity())
        return NodeUsage(
            node.config.node_name,
            usage,
            pods,
            memory_capacity(),
            details=Details(swap=swap()[1], pressure=pressures(Path("/proc/pressure"))),
            started=_stamp(booted_at()),
            traffic=traffic(os.getpid()),
            fs=self._disk(node.config.data_dir),
            image_fs=self._disk(node.config.image_dir or node.config.data_dir),
            swap=swap(),
            pids=pids(),
            parts=self._parts(),
        )

    def _disk(self, folder: str) -> FileSystem | None:
        try:
            return file_system(Path(folder)) if folder else None
        except OSError:
            return None

    def _parts(self) -> dict[str, Usage]:
        cgroups = self._node.cgroups
        found = {"pods": group_usage(cgroups, cgroups.top), "kubelet": process_usage(os.getpid())}
        return {name: usage for name, usage in found.items() if usage is not None}

    def _pod(self, view: PodView, whole: bool) -> PodUsage:
        cgroups, containers = self._node.cgroups, []
        alive = running(view)
        for each in alive:
            path = cgroups.container(view.pod, each.id)
            if usage := group_usage(cgroups, path):
                containers.append(self._container(view, each, usage, path, whole))
        found = [each.pid for each in alive if each.pid] if view.netns else []
        group = cgroups.pod(view.pod)
        return PodUsage(
            view.pod,
            group_usage(cgroups, group),
            containers,
            traffic(found[0]) if found and whole else (),
            details(cgroups, group) if whole else None,
        )

    def _container(
        self, view: PodView, each: ContainerView, usage: Usage, path: str, whole: bool
    ) -> ContainerUsage:
        started = _started(view.pod, each.name)
        if not whole:
            return ContainerUsage(each.name, started, usage)
        folder, _, name = each.log_path.rpartition("/")
        written = self._written.get(each.id)
        return ContainerUsage(
            each.name,
            started,
            usage,
            details=details(self._node.cgroups, path),
            logs=logged(folder, [name]) if folder else None,
            rootfs=written[1] if written else None,
        )

    def _groups(self, views: list[PodView]) -> list[Group]:
        cgroups = self._node.cgroups
        machine = Details(swap=swap()[1], pressure=pressures(Path("/proc/pressure")))
        found = [Group(named("/"), node_usage(cgroups), machine, started=booted_at(),
                       traffic=tuple(traffic(os.getpid())))]  # fmt: skip
        if (usage := group_usage(cgroups, cgroups.top)) is not None:
            found.append(Group(named(cgroups.top), usage, details(cgroups, cgroups.top)))
        for view in views:
            found += self._groups_of(view)
        return found

    def _groups_of(self, view: PodView) -> list[Group]:
        cgroups, meta, found = self._node.cgroups, view.pod["metadata"], []
        alive, group = running(view), cgroups.pod(view.pod)
        pod = {"namespace": meta.get("namespace", ""), "pod": meta["name"]}
        known = [each.pid for each in alive if each.pid] if view.netns else []
        if (usage := group_usage(cgroups, group)) is not None:
            seen = tuple(traffic(known[0])) if known else ()
            found.append(Group(named(group, **pod), usage, details(cgroups, group), traffic=seen))
        for each in alive:
            path = cgroups.container(view.pod, each.id)
            if (usage := group_usage(cgroups, path)) is None:
                continue
            status = container_status(view.pod, each.name) or {}
            labels = named(path, container=each.name, image=status.get("image", ""), name=each.id, **pod)
            started = _started(view.pod, each.name)
            since = parse_time(started).timestamp() if started else 0.0
            found.append(Group(labels, usage, details(cgroups, path), container=True, started=since))
        return found


def running(view: PodView) -> list[ContainerView]:
    newest = [attempts[-1] for attempts in view.containers.values() if attempts]
    return [each for each in newest if each.state == "running"]


def _started(pod: Obj, name: str) -> str:
    state = (container_status(pod, name) or {}).get("state") or {}
    started: str = (state.get("running") or {}).get("startedAt") or pod["metadata"].get(
        "creationTimestamp", ""
    )
    return started


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
