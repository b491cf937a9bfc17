"""One container's output: from its FIFOs to its log file and to attached clients."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from podium.runtime.logs.cri import Encoder, stamp
from podium.runtime.logs.disk import DiskWriter
from podium.runtime.logs.fifo import FifoReader
from podium.runtime.logs.file import LogLimits
from podium.runtime.logs.tee import Tee

log = logging.getLogger(__name__)

_LINE_PATIENCE = 0.05  # seconds an unfinished line is held back for its end


class ContainerIO:
    """Reads a container's FIFOs into its log from its making until `close` or `detach`; `closed` is set
    when nothing will be written to the log any more.

    Invariants: bytes of one stream reach the log and each tee in the order written; while the disk or a tee
    is behind, no FIFO of this container is read, so at most one chunk per stream is in memory."""

    def __init__(
        self,
        stdout: str,
        stderr: str,
        log_path: str,
        limits: LogLimits | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begins to read the FIFOs, which exist; `stderr` is "" with a terminal. To be made before the task
        is created (the shim waits for a reader) and, after a daemon restart, for every task there is.
        Raises OSError."""
        self.log_path = log_path
        self.closed = asyncio.Event()
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._disk = DiskWriter(log_path, limits or LogLimits(), self._flow)
        self._tees: list[Tee] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._encoders: dict[str, Encoder] = {}
        self._readers: dict[str, FifoReader] = {}
        for stream, path in (("stdout", stdout), ("stderr", stderr)):
            if path:
                data, end = partial(self._data, stream), partial(self._end, stream)
                self._encoders[stream] = Encoder(stream)
                self._readers[stream] = FifoReader(path, data, end)

    def tee(self) -> Tee:
        """The output from now on, for an attached client, which must `close` it. It ends with the
        container's output."""
        tee = Tee(self._flow)
        if self._ended.is_set():
            tee.end()
        else:
            self._tees.append(tee)
        return tee

    async def close(self, patience: float = 5.0) -> None:
        """After the process exited: wait until everything it wrote is in the log, then close and remove the
        FIFOs. `patience` (seconds) bounds the wait for processes that outlived the container and still hold
        its output."""
        for reader in list(self._readers.values()):
            reader.finish_if_unwritten()
        try:
            async with asyncio.timeout(patience):
                await self._ended.wait()
                await self._disk.settle()
        except TimeoutError:
            log.warning(
                "output of %s is not in its log %s s after the exit; closing", self.log_path, patience
            )
        self._shut()

    async def detach(self, patience: float = 2.0) -> None:
        """The daemon stops, the container goes on: write what was read and leave the FIFOs to the next
        daemon."""
        for reader in self._readers.values():
            reader.close()
        self._flush_unfinished()
        try:
            async with asyncio.timeout(patience):
                await self._disk.settle()
        except TimeoutError:
            log.warning(
                "the last output of %s is not in its log after %s s; leaving", self.log_path, patience
            )
        self._shut()

    def _shut(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        for reader in self._readers.values():
            reader.close()
        for tee in self._tees:
            tee.end()
        self._tees.clear()
        self._ended.set()
        self._disk.close()
        self.closed.set()

    def _data(self, stream: str, chunk: bytes) -> None:
        encoder = self._encoders[stream]
        self._write(encoder.encode(chunk, stamp(self._now_ns())))
        if encoder.unfinished and self._flush_timer is None:
            self._flush_timer = self._loop.call_later(_LINE_PATIENCE, self._line_overdue)
        if self._tees:
            for tee in self._tees:
                tee.feed(stream, chunk)
            self._flow()

    def _end(self, stream: str) -> None:
        del self._readers[stream]
        self._write(self._encoders[stream].flush(stamp(self._now_ns())))
        if not self._readers:
            for tee in self._tees:
                tee.end()
            self._ended.set()

    def _line_overdue(self) -> None:
        self._flush_timer = None
        self._flush_unfinished()

    def _flush_unfinished(self) -> None:
        at = stamp(self._now_ns())
        for encoder in self._encoders.values():
            self._write(encoder.flush(at))

    def _write(self, records: bytes) -> None:
        if records:
            self._disk.write(records)

    def _flow(self) -> None:
        """Read on, or let the container wait."""
        self._tees = [tee for tee in self._tees if not tee.closed]
        blocked = self._disk.busy or any(tee.full for tee in self._tees)
        for reader in self._readers.values():
            if blocked:
                reader.pause()
            else:
                reader.resume()
