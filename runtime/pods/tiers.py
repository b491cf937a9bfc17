"""Shares the cpu out between the classes of pods, as pods come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from podium.api.types.requests import pod_requests
from podium.runtime.cgroups import Cgroups
from podium.runtime.oci.resources import qos_class

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)


class Tiers:
    """One node's. `changed` may be called any number of times; what is done for many is done once."""

    def __init__(self, cgroups: Cgroups, workers: Callable[[], Iterable[PodWorker]]) -> None:
        self._cgroups = cgroups
        self._workers = workers
        self._wake = asyncio.Event()
        self._wake.set()
        self._busy = False
        self._idle = asyncio.Condition()

    def changed(self) -> None:
        self._wake.set()

    async def settled(self) -> None:
        """Returns when what has changed until now is done."""
        async with self._idle:
            await self._idle.wait_for(lambda: not self._wake.is_set() and not self._busy)

    async def run(self) -> None:
        """Until cancelled."""
        before: int | None = None
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._busy = True
            asked = self._asked()
            try:
                if asked != before:
                    await self._balance(asked)
                before = asked
            except OSError as error:
                log.warning("cannot share out the cpu: %s", error)
            async with self._idle:
                self._busy = False
                self._idle.notify_all()

    async def _balance(self, asked: int) -> None:
        """A thread goes on when its task is cancelled: whoever clears the groups away is to come after it."""
        writing = asyncio.ensure_future(asyncio.to_thread(self._cgroups.balance, asked))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    def _asked(self) -> int:
        """What Burstable pods ask for in all, in thousandths of a cpu."""
        pods = (worker.pod for worker in self._workers() if worker.holds)
        return sum(pod_requests(pod["spec"]).get("cpu", 0) for pod in pods if qos_class(pod) == "Burstable")
