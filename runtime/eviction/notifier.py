"""Wakes whoever watches the memory before the next look is due: when processes stall for want of it (PSI),
and on cgroup v1 when a group's use crosses a line.

Source: the kernel's accounting/psi and admin-guide/cgroup-v1/memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_PRESSURE = Path("/proc/pressure/memory")
# A tenth of a second of stalls in two; windows of whole two seconds are everybody's to ask for.
_STALL = b"some 100000 2000000\0"


class MemoryNotifier:
    """Calls `wake` on the running loop. What the kernel does not offer is done without."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._stalls: tuple[int, select.epoll] | None = None
        self._lines: dict[str, tuple[int, int]] = {}

    def watch_stalls(self) -> None:
        try:
            pressure = os.open(_PRESSURE, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            log.debug("no notice of memory pressure: %s", error)
            return
        try:
            os.write(pressure, _STALL)
        except OSError as error:
            log.debug("no notice of memory pressure: %s", error)
            os.close(pressure)
            return
        poll = select.epoll()
        poll.register(pressure, select.EPOLLPRI)
        self._stalls = (pressure, poll)
        self._loop.add_reader(poll.fileno(), self._stalled)

    def _stalled(self) -> None:
        assert self._stalls is not None
        self._stalls[1].poll(0)
        self._wake()

    def watch_line(self, folder: Path, line: int) -> None:
        """When the use of a cgroup v1 memory group crosses `line` bytes; in place of the line before."""
        before = self._lines.get(str(folder))
        if before is not None and abs(before[1] - line) < 1 << 20:
            return
        self._forget(str(folder))
        try:
            self._lines[str(folder)] = (self._armed(folder, line), line)
        except OSError as error:
            log.debug("no notice of the memory of %s: %s", folder, error)

    def _armed(self, folder: Path, line: int) -> int:
        event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        usage = -1
        try:
            usage = os.open(folder / "memory.usage_in_bytes", os.O_RDONLY | os.O_CLOEXEC)
            (folder / "cgroup.event_control").write_text(f"{event} {usage} {line}")
        except OSError:
            os.close(event)
            raise
        finally:
            if usage >= 0:
                os.close(usage)
        self._loop.add_reader(event, self._crossed, event)
        return event

    def _crossed(self, event: int) -> None:
        os.eventfd_read(event)
        self._wake()

    def _forget(self, folder: str) -> None:
        if (known := self._lines.pop(folder, None)) is not None:
            self._loop.remove_reader(known[0])
            os.close(known[0])

    def close(self) -> None:
        for folder in list(self._lines):
            self._forget(folder)
        if self._stalls is not None:
            pressure, poll = self._stalls
            self._loop.remove_reader(poll.fileno())
            poll.close()
            os.close(pressure)
            self._stalls = None
