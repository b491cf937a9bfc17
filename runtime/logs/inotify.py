"""Notice changes in a directory without polling: the three inotify calls through libc, because the standard
library has none."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_Q_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Sets `changed` whenever a file in the directory is written, created or moved in. Close it."""

    mask = _MODIFY | _MOVED_TO | _CREATE | _DELETE_SELF

    def __init__(self, directory: str, changed: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if _libc.inotify_add_watch(self._fd, os.fsencode(directory), self.mask) < 0:
            error = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(error, os.strerror(error), directory)
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        try:
            self._heard(os.read(self._fd, 64 * 1024))
        except BlockingIOError:
            return
        self._changed.set()

    def _heard(self, events: bytes) -> None:
        """For those who want to know what it was."""


class FolderWatch(DirectoryWatch):
    """Sets `changed` whenever a file of the directory is complete or gone: closed by its writer, moved in or
    out, deleted; and when the directory itself is. `names` are the files it heard of, "" is the directory;
    whoever looks at them clears it."""

    mask = _CLOSE_WRITE | _MOVED_TO | _MOVED_FROM | _DELETE | _DELETE_SELF | _MOVE_SELF

    def __init__(self, directory: str, changed: asyncio.Event) -> None:
        self.names: set[str] = set()
        super().__init__(directory, changed)

    def _heard(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            _, mask, _, length = _EVENT.unpack_from(events, at)
            at += _EVENT.size
            # What was heard of before the queue ran over is lost: everything may have changed.
            about_all = mask & (_DELETE_SELF | _MOVE_SELF | _Q_OVERFLOW)
            self.names.add("" if about_all else os.fsdecode(events[at : at + length].rstrip(b"\0")))
            at += length
