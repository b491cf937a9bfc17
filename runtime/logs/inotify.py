"""Notice changes in a directory without polling: the three inotify calls through libc, because the standard
library has none."""

from __future__ import annotations

import asyncio
import ctypes
import os

_MODIFY, _MOVED_TO, _CREATE, _DELETE_SELF = 0x2, 0x80, 0x100, 0x400
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Sets `changed` whenever a file in the directory is written, created or moved in. Close it."""

    def __init__(self, directory: str, changed: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        mask = _MODIFY | _MOVED_TO | _CREATE | _DELETE_SELF
        if _libc.inotify_add_watch(self._fd, os.fsencode(directory), mask) < 0:
            error = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(error, os.strerror(error), directory)
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        try:
            os.read(self._fd, 64 * 1024)
        except BlockingIOError:
            return
        self._changed.set()
