"""Answers that are kept for a while, and asked for once when several want the same at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Kept(NamedTuple, Generic[Value]):
    value: Value
    until: float


class Remembered(Generic[Value]):
    """As many as `most`; then the oldest are forgotten. `clock` gives seconds."""

    def __init__(self, most: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: dict[Hashable, Kept[Value]] = {}
        self._asking: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[tuple[Value, float]]]) -> Value:
        """`ask` gives the value and for how many seconds it is good. What it raises is not kept, and is for
        all who wait."""
        found = self._kept.get(key)
        if found is not None and self._clock() < found.until:
            return found.value
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._ask(key, ask))
        # One who does not want to wait any more does not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[tuple[Value, float]]]) -> Value:
        try:
            value, seconds = await ask()
        finally:
            self._asking.pop(key, None)
        if seconds > 0:
            self._kept.pop(key, None)
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = Kept(value, self._clock() + seconds)
        return value
