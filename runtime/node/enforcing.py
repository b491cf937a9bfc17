"""All pods together are held to what the node gives them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from podium.client.events import EventRecorder

log = logging.getLogger(__name__)

AGAIN = 60.0


class Enforcement:
    """`limits` sets them; it raises OSError when the kernel refuses."""

    def __init__(
        self, limits: Callable[[], None], group: str, recorder: EventRecorder, node_name: str
    ) -> None:
        self._limits = limits
        self._group = group
        self._recorder = recorder
        self._node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name, "uid": node_name}}

    async def attempt(self) -> bool:
        """Whether they hold now, which is told."""
        try:
            await asyncio.to_thread(self._limits)
        except OSError as error:
            text = f'Failed to update Node Allocatable Limits ["{self._group}"]: {error}'
            log.warning("%s", text)
            self._recorder.event(self._node, "Warning", "FailedNodeAllocatableEnforcement", text)
            return False
        text = "Updated Node Allocatable limit across pods"
        self._recorder.event(self._node, "Normal", "NodeAllocatableEnforced", text)
        return True

    async def insist(self) -> None:
        """Until they hold: pods may use more than that just now."""
        while True:
            if await self.attempt():
                return
            await asyncio.sleep(AGAIN)
