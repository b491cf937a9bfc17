"""Waits until no new connection is sent to a pod any more, so that it can be asked to stop without one being
refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from podium.api.types import Obj
from podium.client.informer import Informer

BY_POD = "pod"
# What is waited for takes tens of milliseconds; a control plane that is away must not keep pods from
# stopping.
PATIENCE = 10.0
# Other nodes hear of it at the same time and need about as long as this one. Nobody tells when they are done:
# they are given some times what it took here, and at least that many seconds.
ELSEWHERE, TIMES = 0.25, 3


def by_pod(slice_: Obj) -> Iterable[str]:
    """The indexer BY_POD of EndpointSlices. What somebody wrote by hand names no pod."""
    return [uid for endpoint in slice_.get("endpoints") or () if (uid := _pod_of(endpoint))]


def _pod_of(endpoint: Obj) -> str:
    return str((endpoint.get("targetRef") or {}).get("uid") or "")


def offers(slice_: Obj, uid: str) -> bool:
    """Whether the slice still sends new connections to the pod."""
    for endpoint in slice_.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        wanted = conditions.get("ready") is not False and not conditions.get("terminating")
        if wanted and _pod_of(endpoint) == uid:
            return True
    return False


class Withdrawal:
    """`applied()` waits until the node's proxy does what the slices known by then say; `others()` tells
    whether there are more nodes."""

    def __init__(
        self, slices: Informer, *, applied: Callable[[], Awaitable[None]], others: Callable[[], bool]
    ) -> None:
        self._slices = slices
        self._applied = applied
        self._others = others
        self._changed: set[asyncio.Event] = set()
        slices.add_indexer(BY_POD, by_pod)
        slices.add_handler(self._slice_changed)

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> None:
        for changed in self._changed:
            changed.set()

    def _offered(self, uid: str) -> bool:
        return any(offers(slice_, uid) for slice_ in self._slices.by_index(BY_POD, uid))

    async def wait(self, uid: str) -> None:
        """Returns at once for a pod that no Service sends to, and after PATIENCE in any case."""
        if not self._offered(uid):
            return
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        started = loop.time()
        self._changed.add(changed)
        try:
            async with asyncio.timeout(PATIENCE):
                while self._offered(uid):
                    changed.clear()
                    await changed.wait()
                await self._applied()
                if self._others():
                    await asyncio.sleep(max(ELSEWHERE, TIMES * (loop.time() - started)))
        except TimeoutError:
            return
        finally:
            self._changed.discard(changed)
