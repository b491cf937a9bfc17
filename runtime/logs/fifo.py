"""The daemon's ends of a process's FIFOs, non-blocking on the event loop.

The shim opens the other ends. It also keeps a reading end of stdout and stderr and a writing end of stdin
for itself, so none of our ends coming and going is seen by the process; end of input is told to the shim
with the CloseIO call."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass

CHUNK = 256 * 1024


def _widen(fd: int) -> None:
    """A pipe that holds more than the usual 64 KiB wakes both its ends less often. The kernel takes memory
    for what is in it only."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 2 * CHUNK)
    except OSError:
        # Beyond what a user may have: it stays as it is.
        return


def make_fifo(path: str) -> None:
    """Idempotent: after a daemon restart the FIFO is there already."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass


@dataclass(frozen=True)
class FifoSet:
    """Paths for a task's `stdin`, `stdout`, `stderr`; "" where the process has none. With a TTY all output
    is stdout."""

    directory: str
    stdin: str
    stdout: str
    stderr: str

    @classmethod
    def within(cls, directory: str, *, stdin: bool = False, tty: bool = False) -> FifoSet:
        return cls(
            directory,
            f"{directory}/stdin" if stdin else "",
            f"{directory}/stdout",
            "" if tty else f"{directory}/stderr",
        )

    def make(self) -> None:
        for path in filter(None, (self.stdin, self.stdout, self.stderr)):
            make_fifo(path)

    def remove(self) -> None:
        for path in filter(None, (self.stdin, self.stdout, self.stderr)):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        try:
            os.rmdir(self.directory)
        except OSError:
            pass  # somebody else's files are in it, or it is gone


class FifoReader:
    """Calls `on_data` with each chunk and `on_end` once, when the last writer has closed. A FIFO that
    nobody has opened for writing yet has not ended. Not reading while paused is what makes the writer
    block."""

    def __init__(self, path: str, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._reading = False
        self.resume()

    def resume(self) -> None:
        if self._fd >= 0 and not self._reading:
            self._loop.add_reader(self._fd, self._readable)
            self._reading = True

    def pause(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def finish_if_unwritten(self) -> None:
        """End at once if no process holds the writing end: the kernel reports no hang-up on a FIFO that has
        not had a writer since we opened it, as after a daemon restart that missed the container's exit."""
        if self._reading:
            self._readable()

    def close(self) -> None:
        self.pause()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        try:
            chunk = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self._on_data(chunk)
        else:
            self.close()
            self._on_end()


class FifoStream:
    """The same end for whoever pulls: `read` until it returns b"", which is when the last writer has
    closed."""

    def __init__(self, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        _widen(self._fd)
        self._flowing = False
        self._patience: float | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        while self._fd >= 0:
            # Before the first writer came the kernel says end of file; readiness is what tells that one was
            # there.
            if not self._flowing:
                await self._readable()
            try:
                chunk = os.read(self._fd, CHUNK) if self._fd >= 0 else b""
            except BlockingIOError:
                self._flowing = False
                continue
            self._flowing = bool(chunk)
            return chunk
        return b""

    def hurry(self, patience: float) -> None:
        """The process has exited, but what it left running may hold its output open: from now on an end is
        also when nothing came for `patience` seconds."""
        self._patience = patience
        if self._waiting is not None:
            self._loop.call_later(patience, self._give_up, self._waiting)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._waiting is not None:
            _resolve(self._waiting)

    async def _readable(self) -> None:
        self._waiting = self._loop.create_future()
        self._loop.add_reader(self._fd, _resolve, self._waiting)
        if self._patience is not None:
            self._loop.call_later(self._patience, self._give_up, self._waiting)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if self._fd >= 0:
                self._loop.remove_reader(self._fd)

    def _give_up(self, waiting: asyncio.Future[None]) -> None:
        if self._waiting is waiting and not waiting.done():
            self.close()


class FifoWriter:
    """The daemon's end of a process's stdin."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: str) -> FifoWriter:
        """Waits until the shim has opened the reading end, which it does in the background after the
        process started. Bounded by the caller (`asyncio.timeout`)."""
        delay = 0.001
        while True:
            try:
                return cls(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, 0.1)

    async def write(self, data: bytes) -> None:
        """All of it, waiting while the pipe is full. BrokenPipeError when the process no longer reads."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await self._writable()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    async def _writable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._fd, _resolve, ready)
        try:
            await ready
        finally:
            if self._fd >= 0:
                self._loop.remove_writer(self._fd)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
