"""A node is emptied before it is taken away: cordoned, then its pods evicted, as their disruption budgets
allow. Source: docs, "Safely Drain a Node", "API-initiated Eviction"."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES, PODS
from podium.client.base import Client
from podium.client.informer import Informer
from podium.control.pods import eviction_of, of_daemon

log = logging.getLogger(__name__)

# Seconds between two tries for a pod that its budget keeps.
AGAIN = 1.0


def to_evict(pods: Iterable[Obj]) -> list[Obj]:
    """Those that another node can take over: not the mirrors of a node's own pods, nor what a DaemonSet would
    put here again at once."""
    return [pod for pod in pods if not of_daemon(pod)]


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
    request, where = eviction_of(pod), meta["namespace"]
    while True:
        try:
            await client.create(PODS, request, where, name=meta["name"], subresource="eviction")
            return
        except StatusError as error:
            if error.code == 404:
                return
            log.log(logging.DEBUG if error.code == 429 else logging.WARNING, "%s: %s", meta["name"], error)
        except ConnectionError as error:
            log.warning("%s: %s", meta["name"], error)
        # No watch tells when a budget has room again for just this pod.
        await asyncio.sleep(AGAIN)
