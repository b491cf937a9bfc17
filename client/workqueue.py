"""The queue between events and reconciling: one key is never worked on twice at once, and never forgotten.

Invariants (those of client-go's workqueue):
- `_dirty` holds every key that wants work. A key enters it in `add` and leaves it in `get`.
- `_processing` holds every key handed out by `get` and not yet given back by `done`.
- `_queue` holds, in order, exactly the keys of `_dirty` that are not in `_processing`. So a key added while
  it is worked on waits in `_dirty` alone, and `done` puts it into the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from podium.client.clock import Clock, Timer
from podium.client.meters import QueueMeter

Key = TypeVar("Key", bound=Hashable)

BASE_DELAY = 0.005  # seconds before the first retry; each further one doubles it
MAX_DELAY = 1000.0


class QueueClosed(Exception):
    """`get` on a queue that was shut down and is empty."""


def backoff(failures: int, base: float = BASE_DELAY, cap: float = MAX_DELAY) -> float:
    """Seconds to wait after so many failures before this one."""
    return min(base * 2.0 ** min(failures, 64), cap)


class WorkQueue(Generic[Key]):
    """Unbounded, for one event loop. Adding a key that waits already changes nothing."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        base_delay: float = BASE_DELAY,
        max_delay: float = MAX_DELAY,
        meter: QueueMeter | None = None,
    ) -> None:
        self._clock = clock
        self._meter = meter or QueueMeter()
        self._meter.depth = self.__len__
        self._base, self._cap = base_delay, max_delay
        self._queue: deque[Key] = deque()
        self._dirty: set[Key] = set()
        self._processing: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, tuple[float, Timer]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is worked on. Delayed keys do not count."""
        return not self._dirty and not self._processing

    def add(self, key: Key) -> None:
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        self._meter.added(key)
        if key not in self._processing:
            self._queue.append(key)
            self._wake()

    def add_after(self, key: Key, delay: float) -> None:
        """Adds `key` in `delay` seconds. Of several delays for one key the earliest counts."""
        if self._closed:
            return
        if delay <= 0:
            self.add(key)
            return
        clock = self._clock or asyncio.get_running_loop()
        due = clock.time() + delay
        if waiting := self._timers.get(key):
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._timers[key] = (due, clock.call_later(delay, self._due, key))

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def add_rate_limited(self, key: Key) -> None:
        """Adds `key` after a delay that doubles with every call until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._meter.retries += 1
        self.add_after(key, backoff(failures, self._base, self._cap))

    def forget(self, key: Key) -> None:
        """Ends the back-off of `key`: it succeeded, or nobody wants it any more."""
        self._failures.pop(key, None)

    def retries(self, key: Key) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> Key:
        """The next key; whoever takes it calls `done` with it, whatever happens. Raises QueueClosed after
        `close`."""
        while not self._queue:
            if self._closed:
                raise QueueClosed
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._pass_on(waiter)
                raise
        key = self._queue.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        self._meter.taken(key)
        return key

    async def work(
        self, do: Callable[[Key], Awaitable[None]], failed: Callable[[Key, Exception], None]
    ) -> None:
        """Does one key after the other until the queue is closed. `failed` tells of one that could not be
        done, which comes back after a growing pause: it must not stop the work on all others."""
        while True:
            try:
                key = await self.get()
            except QueueClosed:
                return
            try:
                await do(key)
            except Exception as error:  # noqa: BLE001 (handed to `failed`)
                failed(key, error)
                self.add_rate_limited(key)
            else:
                self.forget(key)
            finally:
                self.done(key)

    def _pass_on(self, waiter: asyncio.Future[None]) -> None:
        """A waiter that was woken and cancelled in the same turn must not swallow the wake-up."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif self._queue:
            self._wake()

    def done(self, key: Key) -> None:
        self._processing.discard(key)
        self._meter.done(key)
        if key in self._dirty:
            self._queue.append(key)
            self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def close(self) -> None:
        """No more keys; what waits is still handed out, delayed keys are dropped."""
        self._closed = True
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        while self._waiters:
            self._wake()
