"""The containers of a pod share a shim, which ends with the last of them. A container that is started just
then meets one that is about to end: containerd takes its socket for that of a shim that can be used, or sees
its own removed by the one that leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from podium.runtime.containerd import ContainerdError

log = logging.getLogger(__name__)

PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between the tries."""
CLEANING = 1.0
"""Seconds that containerd gets to remove what a shim has begun that left meanwhile."""

_NO_SHIM = "failed to start shim"
_SOCKET = ("create new shim socket", "dial unix")
"""What is said of a socket that comes and goes, and not of a shim that there is none of."""
_LEFT = "failed to create shim task: ttrpc: closed"
_STILL_THERE = "already exists"


async def with_shim(
    create: Callable[[], Awaitable[int]], pauses: Sequence[float] = PAUSES, cleaning: float = CLEANING
) -> int:
    """What `create` returns, which makes a task: a start without a shim is made again, as if it had not been.
    Raises ContainerdError."""
    met = False
    for pause in pauses:
        try:
            return await create()
        except ContainerdError as error:
            text = str(error)
            missed = _NO_SHIM in text and any(each in text for each in _SOCKET)
            if not (missed or _LEFT in text or (met and _STILL_THERE in text)):
                raise
            met = True
            log.info("starting a container again, which met a shim that ends: %s", error)
        await asyncio.sleep(pause if missed else max(pause, cleaning))
    return await create()
