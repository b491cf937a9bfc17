"""From the event loop to a log file, without ever waiting for the disk on the loop for long and without
dropping a byte."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from podium.runtime.logs.file import LogFile, LogLimits, tidy

log = logging.getLogger(__name__)

_SLOW = 0.005  # seconds a write may hold the event loop before the disk counts as slow
_RETRY = 1.0  # seconds between attempts on a full disk


class DiskWriter:
    """Writes on the loop while that is quick (the page cache takes a chunk in microseconds). After a slow
    write the next ones are made in a thread, one at a time, until they are quick again. While `busy`, the
    owner is expected to stop reading its FIFOs; `changed` is called whenever `busy` may have changed.
    Rotated files are pruned and compressed in a thread."""

    def __init__(self, path: str, limits: LogLimits, changed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = LogFile(path, limits)
        self._changed = changed
        self._slow = False
        self._failed = False
        self._held: list[bytes] = []
        self._writing: asyncio.Future[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._tidied = 0
        self._tidying: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def write(self, records: bytes) -> None:
        """Take records. What comes while busy is held (the owner's last chunks) and written in order."""
        if self.busy or self._slow:
            self._held.append(records)
            if not self.busy:
                self._write_in_thread()
            return
        began = time.monotonic()
        try:
            self._file.append(records)
        except OSError as error:
            self._wait_for_room(error)
        self._slow = time.monotonic() - began > _SLOW
        self._tidy_if_rotated()

    async def settle(self) -> None:
        """Wait until everything is on disk and housekeeping is over. Endless on a disk that stays full:
        bound it."""
        await self._idle.wait()
        while self._tidying is not None:
            await asyncio.wait([self._tidying])

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        if self._writing is None:
            self._file.close()
        else:
            self._writing.add_done_callback(lambda _: self._file.close())

    def _write_in_thread(self) -> None:
        self._idle.clear()
        records = b"".join(self._held)
        self._held.clear()
        began = time.monotonic()
        self._writing = self._loop.run_in_executor(None, self._file.append, records)
        self._writing.add_done_callback(partial(self._written, began))
        self._changed()

    def _written(self, began: float, future: asyncio.Future[None]) -> None:
        self._writing = None
        error = future.exception()
        if isinstance(error, OSError):
            self._wait_for_room(error)
            return
        future.result()
        if self._failed:
            self._failed = False
            log.info("%s is written again", self._file.path)
        self._slow = time.monotonic() - began > _SLOW
        if self._held:
            self._write_in_thread()
            return
        self._idle.set()
        self._changed()
        self._tidy_if_rotated()

    def _wait_for_room(self, error: OSError) -> None:
        """The container waits until the disk takes its output again: its file keeps what is not written."""
        if not self._failed:
            log.warning("cannot write %s: %s; its container waits", self._file.path, error.strerror)
        self._failed = True
        self._idle.clear()
        self._changed()
        self._retry = self._loop.call_later(_RETRY, self._write_in_thread)

    def _tidy_if_rotated(self) -> None:
        if self._file.rotations == self._tidied or self._tidying is not None:
            return
        self._tidied = self._file.rotations
        self._tidying = self._loop.run_in_executor(None, tidy, self._file.path, self._file.limits)
        self._tidying.add_done_callback(self._tidy_over)

    def _tidy_over(self, future: asyncio.Future[None]) -> None:
        self._tidying = None
        if error := future.exception():
            log.warning("cannot tidy the rotated logs of %s: %s", self._file.path, error)
        self._tidy_if_rotated()
