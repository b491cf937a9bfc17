"""The handlers that tell about the node: pods, configuration, statistics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import orjson
from aiohttp import web

from podium.api.types import Obj
from podium.runtime import machine
from podium.runtime.interfaces import ContainerView
from podium.runtime.nodeapi import cadvisor, nodemetrics
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.readings import Readings, running
from podium.runtime.nodeapi.resources import resource_metrics
from podium.runtime.nodeapi.summary import NodeUsage, keyed, summary

# Nanoseconds. Rates are told over at least the first, with readings that are not older than the second; who
# asks for the first time waits for the third.
WINDOW, STALE, FIRST = 10 * 10**9, 60 * 10**9, 10**9 // 4


class Inspection:
    """Keeps an earlier reading, so that a summary can tell rates. Nothing is read while nobody asks."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._readings = Readings(node)
        # The one that rates are told since, and the one that will take its place.
        self._base: NodeUsage | None = None
        self._next: NodeUsage | None = None

    async def pods(self, request: web.Request) -> web.Response:
        return _pods([view.pod for view in self._node.pods.views()])

    async def running_pods(self, request: web.Request) -> web.Response:
        """What containerd runs: names, ids and containers, without what was asked for."""
        return _pods([_bare(view.pod, running(view)) for view in self._node.pods.views() if running(view)])

    async def configz(self, request: web.Request) -> web.Response:
        config = self._node.config
        return _json({"kubeletconfig": {**config.settings, "address": config.host, "port": config.port}})

    async def summary(self, request: web.Request) -> web.Response:
        usage = await self._readings.whole()
        if self._base is None or usage.usage.at_ns - self._base.usage.at_ns > STALE:
            self._base = self._next = usage
            await asyncio.sleep(FIRST / 10**9)
            usage = await self._readings.whole()
        base = self._base
        if self._next is not None and usage.usage.at_ns - self._next.usage.at_ns >= WINDOW:
            self._base = base = self._next
            self._next = usage
        document = summary(usage, keyed(base))
        if request.query.get("only_cpu_and_memory") in ("1", "true"):
            return _json(_narrowed(document))
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
        return _text(resource_metrics(await self._readings.quick()))

    async def cadvisor(self, request: web.Request) -> web.Response:
        here = machine.read()
        about = cadvisor.Machine(
            here.cpus,
            here.memory,
            here.swap,
            here.boot_id,
            here.machine_id,
            machine.system_uuid() or here.machine_id,
            os.uname().release,
            here.os_image,
        )
        return _text(cadvisor.metrics(await self._readings.groups(), about))

    async def probes(self, request: web.Request) -> web.Response:
        return _text(nodemetrics.probe_metrics(self._node.meters))

    async def metrics(self, request: web.Request) -> web.Response:
        """About the daemon itself."""
        node, volumes = self._node, dict[str, list[Obj]]()
        for view in node.pods.views():
            if node.volumes is not None:
                found = volumes.setdefault(view.pod["metadata"].get("namespace", ""), [])
                found += await node.volumes(view.pod)
        counted = nodemetrics.Counted(
            node.config.node_name,
            node.config.version,
            node.pods.views(),
            node.meters,
            node.containerd.channel.meter,
            getattr(node.client, "meter", None),
            await asyncio.to_thread(self._readings.process),
            volumes,
        )
        return _text(nodemetrics.metrics(counted))


def _bare(pod: Obj, containers: Sequence[ContainerView]) -> Obj:
    meta, names = pod["metadata"], {each.name for each in containers}
    specs = (each for kind in ("initContainers", "containers") for each in pod["spec"].get(kind) or ())
    return {
        "metadata": {name: meta[name] for name in ("name", "namespace", "uid") if name in meta},
        "spec": {
            "containers": [
                {"name": each["name"], "image": each.get("image", ""), "resources": {}}
                for each in specs
                if each["name"] in names
            ]
        },
        "status": {},
    }


def _narrowed(document: Obj) -> Obj:
    """Of nodes, pods and containers no more than cpu and memory."""
    names = ("nodeName", "podRef", "name", "startTime", "cpu", "memory")

    def kept(entry: Obj) -> Obj:
        return {name: entry[name] for name in names if name in entry}

    pods = [
        {**kept(pod), "containers": [kept(each) for each in pod["containers"]]} for pod in document["pods"]
    ]
    return {"node": kept(document["node"]), "pods": pods}


def _pods(items: list[Obj]) -> web.Response:
    return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


def _text(said: str) -> web.Response:
    return web.Response(
        body=said.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _json(document: Obj) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
