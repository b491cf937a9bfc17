"""Threads for what may take long: checking and growing file systems, servers that do not answer. The loop's
own few threads are everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREADS = ThreadPoolExecutor(8, thread_name_prefix="volume")


async def slowly(work: Callable[[], T]) -> T:
    """What `work` returns or raises. It cannot be called back: who is cancelled meanwhile waits for it."""
    task = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(_THREADS, work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
