"""Time as the rest of the client sees it, so that tests can turn the hands themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds and timers. An asyncio event loop is one."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def sleep(clock: Clock | None, delay: float) -> None:
    """Waits `delay` seconds of `clock`; without one, of the running loop."""
    if clock is None:
        await asyncio.sleep(delay)
        return
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(delay, _wake, future)
    try:
        await future
    finally:
        timer.cancel()
