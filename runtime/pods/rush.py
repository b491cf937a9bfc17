"""Whether pods are being started or ended right now. The cores of a node are few: what nobody waits for is
done when the pods are there, or gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

LULL = 0.02
"""Seconds without anything pressing before a rush counts as over: one step of a pod follows the other."""

CROWD = 8


class Rush:
    """Counts what is pressing. Belongs to one event loop."""

    def __init__(self) -> None:
        self._doing = 0
        self._over = asyncio.Event()
        self._over.set()
        self._lull: asyncio.TimerHandle | None = None

    @property
    def crowded(self) -> bool:
        """Whether more is under way than the node can do at once."""
        return self._doing > CROWD

    @contextlib.contextmanager
    def pressing(self) -> Iterator[None]:
        """A pod waits for what is done in this block."""
        self._doing += 1
        self._over.clear()
        if self._lull is not None:
            self._lull.cancel()
            self._lull = None
        try:
            yield
        finally:
            self._doing -= 1
            if not self._doing:
                self._lull = asyncio.get_running_loop().call_later(LULL, self._over.set)

    async def over(self, patience: float) -> None:
        """Returns when nothing is pressing; after `patience` seconds in any case."""
        if self._over.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._over.wait()
