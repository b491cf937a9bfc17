"""A write whose object claims something besides: it keeps that if, and only if, it becomes durable."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from podium.api.store.base import Entry
from podium.api.strategy import NOTHING_RESERVED, Reservation


async def written(claimed: Reservation, write: Coroutine[Any, Any, Entry]) -> Entry:
    """Waits for the write. Who stops waiting (a request's time may be over) does not stop it: what it claimed
    is given to nobody else before its end is known."""
    if claimed is NOTHING_RESERVED:
        return await write
    task = asyncio.ensure_future(write)

    def settle(done: asyncio.Task[Entry]) -> None:
        if done.cancelled() or done.exception() is not None:
            claimed.rollback()
        else:
            claimed.commit()

    task.add_done_callback(settle)
    return await asyncio.shield(task)
