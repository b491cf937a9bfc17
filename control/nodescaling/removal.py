"""Taking one node away: no new pods, its pods evicted as their budgets allow, then the machine, then the
Node."""

from __future__ import annotations

import asyncio
import contextlib

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, name_of, namespace_of
from podium.api.types.resources import NODES, PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.control.nodescaling import taints
from podium.control.nodescaling.provider import Provider, ProviderError
from podium.control.pods import BY_NODE, eviction_of, is_finished, of_daemon

RETRY = 2.0  # seconds between two attempts to evict what a budget protects


class NotDrained(Exception):
    """Pods are left that could not be moved in time; the text names one."""


class Removal:
    """`pods` is the cache of all pods, with the index BY_NODE."""

    def __init__(
        self,
        client: Client,
        provider: Provider,
        recorder: EventRecorder,
        pods: Informer,
        drain_timeout: float,
    ) -> None:
        self._client, self._provider, self._recorder = client, provider, recorder
        self._pods, self._drain_timeout = pods, drain_timeout
        self._waiting: dict[str, asyncio.Event] = {}
        pods.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        node = ((new or old or {}).get("spec") or {}).get("nodeName")
        if node in self._waiting:
            self._waiting[node].set()

    async def run(self, node: Obj, group: str, now: float) -> None:
        """Raises NotDrained, ProviderError, StatusError, ConnectionError. The node is tainted then, until
        somebody who knows that it stays takes the taint away."""
        name = name_of(node)
        try:
            await taints.put(self._client, name, taints.DELETED, now)
            text = "marked the node as toBeDeleted/unschedulable"
            self._recorder.event(node, "Normal", "ScaleDown", text)
            await self._drain(node)
            await self._provider.remove(group, name)
        except (NotDrained, ProviderError) as error:
            self._recorder.event(node, "Warning", "ScaleDownFailed", f"failed to remove the node: {error}")
            raise
        self._recorder.event(node, "Normal", "ScaleDown", "node removed by cluster autoscaler")
        try:
            await self._client.delete(NODES, name, uid=node["metadata"]["uid"])
        except StatusError as error:
            # The provider may have deleted it, and the machine may have come back as another.
            if error.code not in (404, 409):
                raise

    async def _drain(self, node: Obj) -> None:
        """Raises NotDrained."""
        name = name_of(node)
        self._waiting[name] = changed = asyncio.Event()
        try:
            async with asyncio.timeout(self._drain_timeout):
                while left := self._left(name):
                    for pod in left:
                        if not deleting(pod):
                            await self._evict(pod)
                    changed.clear()
                    # What a budget protects is asked for again.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RETRY):
                            await changed.wait()
        except TimeoutError:
            first = next(iter(self._left(name)), node)
            where = f"{namespace_of(first)}/{name_of(first)}"
            raise NotDrained(f"pod {where} could not be moved in time") from None
        finally:
            del self._waiting[name]

    def _left(self, name: str) -> list[Obj]:
        pods = self._pods.by_index(BY_NODE, name)
        return [pod for pod in pods if not of_daemon(pod) and not is_finished(pod)]

    async def _evict(self, pod: Obj) -> None:
        """Unless its budget keeps it for now."""
        meta = pod["metadata"]
        try:
            await self._client.create(
                PODS, eviction_of(pod), meta["namespace"], name=meta["name"], subresource="eviction"
            )
        except StatusError as error:
            if error.code not in (404, 409, 429):
                raise
            return
        self._recorder.event(pod, "Normal", "ScaleDown", "deleting pod for node scale down")
