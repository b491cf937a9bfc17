"""Ends a node's pods when its machine goes down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from podium.api.types import meta
from podium.client.events import EventRecorder
from podium.runtime.shutdown import plan
from podium.runtime.shutdown.plan import Share

if TYPE_CHECKING:
    from podium.runtime.pods.worker import PodWorker

log = logging.getLogger(__name__)

# Seconds until a machine that cannot be held back is tried again.
AGAIN = 5.0
# Seconds that the last statuses may take on their way.
FLUSH = 1.0


class Holder(Protocol):
    """Whoever can hold the machine back. Raises OSError when it cannot."""

    async def hold(self, seconds: float) -> Callable[[], None]:
        """From now on the machine waits so long for us; what is returned lets it go."""
        ...

    def signals(self) -> AsyncIterator[bool]:
        """True when the machine begins to go down, False when it has thought better of it."""
        ...


class ShutdownManager:
    """`leaving` tells whether the node takes no pods any more; `changed` is called when that has changed."""

    def __init__(
        self,
        shares: Sequence[Share],
        recorder: EventRecorder,
        node_name: str,
        *,
        workers: Callable[[], Iterable[PodWorker]],
        changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._shares = shares
        self._recorder = recorder
        self._node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name, "uid": node_name}}
        self._workers = workers
        self._changed = changed
        self._now = now
        self.leaving = False

    async def run(self, holder: Holder) -> None:
        """Until cancelled. Whoever held the machine may be restarted: then it is held anew."""
        level = logging.WARNING
        while True:
            try:
                await self._attend(holder)
                level = logging.WARNING
            except OSError as error:
                log.log(level, "cannot hold the machine's shutdown back: %s", error)
                level = logging.DEBUG
            await asyncio.sleep(AGAIN)

    async def _attend(self, holder: Holder) -> None:
        release = await holder.hold(sum(share.seconds for share in self._shares))
        try:
            async for begins in holder.signals():
                if begins:
                    await self.begin()
                    release()
                else:
                    self.cancel()
                    release = await holder.hold(sum(share.seconds for share in self._shares))
        finally:
            release()

    async def begin(self) -> None:
        """Returns when all pods have ended, or had their time."""
        if self.leaving:
            return
        self._tell("Shutdown manager detected shutdown event")
        self.leaving = True
        self._changed()
        workers = {each.uid: each for each in self._workers() if each.holds}
        for turn in plan.turns([each.pod for each in workers.values()], self._shares):
            ending = [workers[pod["metadata"]["uid"]] for pod in turn.pods]
            for worker in ending:
                worker.fail(
                    plan.REASON,
                    plan.MESSAGE,
                    grace=plan.grace(worker.pod, turn.seconds),
                    condition=plan.condition(worker.pod, meta.timestamp(self._now())),
                )
            await _within(turn.seconds, [each.cleared.wait() for each in ending])
        log.info("all pods have ended for the shutdown, or had their time")
        await _within(FLUSH, [each.flushed() for each in workers.values()])

    def cancel(self) -> None:
        if self.leaving:
            self._tell("Shutdown manager detected shutdown cancellation")
            self.leaving = False
            self._changed()

    def _tell(self, message: str) -> None:
        self._recorder.event(self._node, "Normal", "Shutdown", message)


async def _within(seconds: float, waiting: Sequence[Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*waiting)
    except TimeoutError:
        log.warning("not all pods have ended within %g s", seconds)
