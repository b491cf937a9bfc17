"""The handlers that tell about the node: health, pods, configuration, statistics."""

from __future__ import annotations

import asyncio
import os

import orjson
from aiohttp import web

from podium.api.types import Obj
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.request import container_status
from podium.runtime.nodeapi.summary import (
    ContainerUsage,
    NodeUsage,
    PodUsage,
    keyed,
    resource_metrics,
    summary,
)
from podium.runtime.nodeapi.usage import (
    group_usage,
    memory_capacity,
    node_usage,
    resident_memory,
    traffic,
)

# Nanoseconds. Rates are told over at least the first, with readings that are not older than the second; who
# asks for the first time waits for the third.
WINDOW, STALE, FIRST = 10 * 10**9, 60 * 10**9, 10**9 // 4


class Inspection:
    """Keeps an earlier reading, so that a summary can tell rates. Nothing is read while nobody asks."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # The one that rates are told since, and the one that will take its place.
        self._base: NodeUsage | None = None
        self._next: NodeUsage | None = None

    async def healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def pods(self, request: web.Request) -> web.Response:
        items = [view.pod for view in self._node.pods.views()]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def configz(self, request: web.Request) -> web.Response:
        config = self._node.config
        return _json({"kubeletconfig": {"address": config.host, "port": config.port}})

    async def summary(self, request: web.Request) -> web.Response:
        usage = await self._read()
        if self._base is None or usage.usage.at_ns - self._base.usage.at_ns > STALE:
            self._base = self._next = usage
            await asyncio.sleep(FIRST / 10**9)
            usage = await self._read()
        base = self._base
        if self._next is not None and usage.usage.at_ns - self._next.usage.at_ns >= WINDOW:
            self._base = base = self._next
            self._next = usage
        document = summary(usage, keyed(base))
        await self._add_volumes(document)
        return _json(document)

    async def _add_volumes(self, document: Obj) -> None:
        """What the volumes of running pods hold."""
        if self._node.volumes is None:
            return
        pods = {view.pod["metadata"]["uid"]: view.pod for view in self._node.pods.views()}
        for entry in document["pods"]:
            if (pod := pods.get(entry["podRef"]["uid"])) and (found := await self._node.volumes(pod)):
                entry["volume"] = found

    async def resource_metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=resource_metrics(await self._read()))

    async def metrics(self, request: web.Request) -> web.Response:
        """About the daemon itself."""
        views = self._node.pods.views()
        running = [each for view in views for each in _running(view)]
        times = os.times()
        values = {
            "kubelet_running_pods": len(views),
            'kubelet_running_containers{container_state="running"}': len(running),
            "process_resident_memory_bytes": resident_memory(),
            "process_cpu_seconds_total": times.user + times.system,
        }
        return web.Response(text="".join(f"{name} {value}\n" for name, value in values.items()))

    async def _read(self) -> NodeUsage:
        views = self._node.pods.views()
        return await asyncio.to_thread(self._read_all, views)

    def _read_all(self, views: list[PodView]) -> NodeUsage:
        pods = [self._read_pod(view) for view in views]
        return NodeUsage(self._node.config.node_name, node_usage(self._node.cgroups), pods, memory_capacity())

    def _read_pod(self, view: PodView) -> PodUsage:
        cgroups, containers = self._node.cgroups, []
        running = _running(view)
        for each in running:
            usage = group_usage(cgroups, cgroups.container(view.pod, each.id))
            if usage:
                containers.append(ContainerUsage(each.name, _started(view.pod, each.name), usage))
        pids = [each.pid for each in running if each.pid] if view.netns else []
        usage = group_usage(cgroups, cgroups.pod(view.pod))
        return PodUsage(view.pod, usage, containers, traffic(pids[0]) if pids else ())


def _running(view: PodView) -> list[ContainerView]:
    newest = [attempts[-1] for attempts in view.containers.values() if attempts]
    return [each for each in newest if each.state == "running"]


def _started(pod: Obj, name: str) -> str:
    state = (container_status(pod, name) or {}).get("state") or {}
    started: str = (state.get("running") or {}).get("startedAt") or pod["metadata"].get(
        "creationTimestamp", ""
    )
    return started


def _json(document: Obj) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
