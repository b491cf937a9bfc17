"""A node is emptied before it is taken away: cordoned, then its pods evicted, as their disruption budgets
allow. Source: docs, "Safely Drain a Node", "API-initiated Eviction"."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of
from podium.api.types.resources import NODES, PODS
from podium.client.base import Client
from podium.client.informer import Informer

MIRROR = "kubernetes.io/config.mirror"
# Seconds between two tries for a pod that its budget keeps.
AGAIN = 1.0


def to_evict(pods: Iterable[Obj]) -> list[Obj]:
    """Those that another node can take over: not the mirrors of a node's own pods, nor what a DaemonSet would
    put here again at once."""
    return [
        pod
        for pod in pods
        if MIRROR not in (pod["metadata"].get("annotations") or {})
        and (controller_of(pod) or {}).get("kind") != "DaemonSet"
    ]


async def cordon(client: Client, name: str) -> bool:
    """Whether there is such a Node."""
    try:
        await client.patch(NODES, name, {"spec": {"unschedulable": True}})
    except StatusError as error:
        if error.code == 404:
            return False
        raise
    return True


async def drain(client: Client, name: str, seconds: float) -> list[str]:
    """Evicts the pods of a cordoned node; returns, as NAMESPACE/NAME, those that are still there after
    `seconds`."""
    informer = Informer(client, PODS, fields=f"spec.nodeName={name}")
    changed = asyncio.Event()
    informer.add_handler(lambda old, new: changed.set())
    watching = asyncio.create_task(informer.run())
    evictions: dict[str, asyncio.Task[None]] = {}
    try:
        async with asyncio.timeout(seconds):
            await informer.synced()
            while left := to_evict(informer.list()):
                for pod in left:
                    uid = pod["metadata"]["uid"]
                    if uid not in evictions:
                        evictions[uid] = asyncio.create_task(_evict(client, pod))
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return sorted(
            f"{p['metadata']['namespace']}/{p['metadata']['name']}" for p in to_evict(informer.list())
        )
    finally:
        for task in (watching, *evictions.values()):
            task.cancel()
        await asyncio.gather(watching, *evictions.values(), return_exceptions=True)
    return []


async def _evict(client: Client, pod: Obj) -> None:
    """Tries until the pod may go or is gone."""
    meta = pod["metadata"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "deleteOptions": {"preconditions": {"uid": meta["uid"]}},
    }
    while True:
        try:
            await client.create(PODS, eviction, meta["namespace"], name=meta["name"], subresource="eviction")
            return
        except (StatusError, ConnectionError) as error:
            if isinstance(error, StatusError) and error.code != 429:
                return
        # No watch tells when a budget has room again for just this pod.
        await asyncio.sleep(AGAIN)
