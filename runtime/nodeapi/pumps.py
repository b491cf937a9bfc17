"""Moving bytes between a client and a process, both directions at their own pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from podium.api.types import Obj
from podium.runtime.logs import FifoStream, FifoWriter
from podium.runtime.nodeapi.interfaces import Resize, Session, Stdin

log = logging.getLogger(__name__)

STDIN_PATIENCE = 10.0
"""Seconds the shim gets to open a process's input."""


async def pump_output(fifo: FifoStream, stream: str, session: Session) -> None:
    """Until the process has closed the stream."""
    while chunk := await fifo.read():
        await session.send(stream, chunk)


async def finish(session: Session, status: Obj | None) -> None:
    """Tell the outcome, unless there is none because the client is gone."""
    if status is None:
        return
    try:
        await session.finish(status)
    except ConnectionError as error:
        log.debug("client left before it heard the outcome: %s", error)


class Input:
    """What the client sends, into a process. `closed` is awaited once when the client says that its input
    ends; input after the process stopped reading is thrown away, as a broken pipe would."""

    def __init__(
        self,
        path: str,
        closed: Callable[[], Awaitable[None]],
        resize: Callable[[Resize], Awaitable[None]],
    ) -> None:
        self._path = path
        self._closed = closed
        self._resize = resize
        self._writer: FifoWriter | None = None
        self._over = self._ended = not path

    async def run(self, session: Session) -> None:
        """Until the client is gone."""
        try:
            while (message := await session.receive()) is not None:
                if isinstance(message, Resize):
                    await self._resize(message)
                elif not self._over:
                    await self._take(message)
        finally:
            self._close()

    async def _take(self, message: Stdin) -> None:
        if not message.data:
            await self.end()
            return
        try:
            async with asyncio.timeout(STDIN_PATIENCE):
                writer = self._writer = self._writer or await FifoWriter.open(self._path)
        except TimeoutError:
            self._over = True
            return
        try:
            await writer.write(message.data)
        except BrokenPipeError:
            self._over = True
            self._close()

    async def end(self) -> None:
        """The end of the input: everything was written before. Idempotent, and can be tried again when
        cancelled."""
        if self._ended:
            return
        self._over = True
        try:
            # Opening shows that the shim has opened its end: before that, what we wrote would be lost with
            # our end.
            async with asyncio.timeout(STDIN_PATIENCE):
                self._writer = self._writer or await FifoWriter.open(self._path)
        except TimeoutError:
            return
        self._close()
        await self._closed()
        self._ended = True

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
