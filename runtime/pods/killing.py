"""The end of a container that still runs: hook, stop signal, patience, SIGKILL."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from podium.runtime.pods.model import MIN_GRACE

log = logging.getLogger(__name__)


def stop_signal(name: str) -> int:
    """A signal by name or number; SIGTERM for none, or one that this machine does not know."""
    text = name.strip().upper()
    if text.isdigit():
        return int(text)
    if text and not text.startswith("SIG"):
        text = f"SIG{text}"
    try:
        return int(signal.Signals[text]) if text else int(signal.SIGTERM)
    except KeyError:
        log.warning("unknown stop signal %s: using SIGTERM", name)
        return int(signal.SIGTERM)


class Killing:
    """One container being killed. Its deadline can only come nearer. Times are the loop's."""

    def __init__(self, send: Callable[[int], Awaitable[bool]], ended: asyncio.Event, deadline: float) -> None:
        """`send` sends a signal; `ended` is set when the container's process has ended."""
        self._send = send
        self._ended = ended
        self._deadline = deadline
        self._nearer = asyncio.Event()

    def hasten(self, deadline: float) -> None:
        if deadline < self._deadline:
            self._deadline = deadline
            self._nearer.set()

    async def run(self, number: int, hook: Awaitable[None] | None) -> None:
        """Returns when the container's process has ended."""
        if hook is not None:
            await self._within_grace(asyncio.ensure_future(hook))
        if not self._ended.is_set():
            await self._send(number)
            soonest = asyncio.get_running_loop().time() + MIN_GRACE
            if not await self._patient(soonest):
                await self._send(signal.SIGKILL)
                await self._ended.wait()

    async def _within_grace(self, hook: asyncio.Future[None]) -> None:
        """The hook gets the whole grace period, but not more."""
        ended = asyncio.ensure_future(self._patient(0.0))
        try:
            await asyncio.wait((hook, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (hook, ended):
                each.cancel()

    async def _patient(self, soonest: float) -> bool:
        """Waits for the end until the deadline, but at least until `soonest`; whether it came."""
        loop = asyncio.get_running_loop()
        while (left := max(self._deadline, soonest) - loop.time()) > 0:
            self._nearer.clear()
            waits = [asyncio.ensure_future(event.wait()) for event in (self._ended, self._nearer)]
            try:
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if self._ended.is_set():
                return True
        return self._ended.is_set()
