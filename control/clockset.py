"""Tells when the machine's clock was set: timers count seconds, but what they were computed from (a schedule,
a deadline) is a time of day. Linux says so, also after a suspension: timerfd_create(2),
TFD_TIMER_CANCEL_ON_SET."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

_REALTIME, _NONBLOCK, _CLOEXEC = 0, os.O_NONBLOCK, os.O_CLOEXEC
_ABSOLUTE, _CANCEL_ON_SET = 1, 2
_FAR = 2**40  # seconds since the epoch: the timer itself never fires
_TIMERSPEC = struct.Struct("qqqq")  # interval and first expiry, seconds and nanoseconds each


class ClockWatch:
    """Calls `changed` whenever the clock was set."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    async def run(self) -> None:
        """Until cancelled. Where the system has no such timer, nobody is ever told."""
        loop = asyncio.get_running_loop()
        was_set = asyncio.Event()
        try:
            with _timer() as descriptor:
                loop.add_reader(descriptor, was_set.set)
                try:
                    while True:
                        await was_set.wait()
                        was_set.clear()
                        if _cancelled(descriptor):
                            log.info("the clock was set")
                            self._changed()
                finally:
                    loop.remove_reader(descriptor)
        except (OSError, AttributeError) as error:
            log.warning("nobody will be told when the clock is set: %s", error)
            await asyncio.Event().wait()


@contextlib.contextmanager
def _timer() -> Iterator[int]:
    """An armed timer. Raises OSError, AttributeError where the C library has none."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor: int = library.timerfd_create(_REALTIME, _NONBLOCK | _CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    try:
        _arm(library, descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _arm(library: ctypes.CDLL, descriptor: int) -> None:
    spec = _TIMERSPEC.pack(0, 0, _FAR, 0)
    if library.timerfd_settime(descriptor, _ABSOLUTE | _CANCEL_ON_SET, spec, None) < 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")


def _cancelled(descriptor: int) -> bool:
    """Takes the notice from the timer. It stays armed."""
    try:
        os.read(descriptor, 8)
    except OSError as error:
        if error.errno == errno.ECANCELED:
            return True
        if error.errno != errno.EAGAIN:
            raise
    return False
