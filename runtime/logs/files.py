"""The files that make up one container's log, read as one, rotation and compression happening meanwhile.
Blocking: for threads."""

from __future__ import annotations

import gzip
import io
import os
from typing import BinaryIO, cast

from podium.runtime.logs.decode import tail_offset
from podium.runtime.logs.file import rotated_files, rotation_stamp

BLOCK = 128 * 1024
"""Bytes; what is decoded from larger ones no longer fits the processor's caches, which halves the speed."""

_WINDOW = 64 * 1024


class Position:
    """A place in one file of the log. `newest` is the stamp of the newest rotated file when the current one
    was opened, so that the ones that came later are known by name. Owns the file."""

    def __init__(self, file: BinaryIO, newest: str) -> None:
        self._file = file
        self._rest = b""
        self.inode = os.fstat(file.fileno()).st_ino
        self.newest = newest

    def block(self) -> bytes:
        """The next whole records; b"" when there are none (yet). An unfinished record waits for its end."""
        while chunk := self._file.read(BLOCK):
            data = self._rest + chunk if self._rest else chunk
            cut = data.rfind(b"\n") + 1
            self._rest = data[cut:]
            if cut:
                return data[:cut]
        return b""

    def place_at_tail(self, lines: int) -> int:
        """Go to where the last `lines` lines begin, looking at ever larger pieces of the end; how many of
        them are here."""
        if isinstance(self._file, gzip.GzipFile):
            with self._file as compressed:
                self._file = io.BytesIO(compressed.read())
        size = self._file.seek(0, os.SEEK_END)
        window = _WINDOW
        while True:
            start = max(size - window, 0)
            self._file.seek(start)
            data = self._file.read(size - start)
            head = data.find(b"\n") + 1 if start else 0
            offset, found = tail_offset(data[head : data.rfind(b"\n") + 1], lines)
            if start == 0 or offset > 0:
                self._file.seek(start + head + offset)
                return found
            window *= 8

    def close(self) -> None:
        self._file.close()


def chain(path: str) -> list[Position]:
    """All files of the log, oldest first, the current one last. Raises FileNotFoundError when there is no
    log."""
    current = _open_current(path)
    older = [name for name in rotated_files(path) if rotation_stamp(name) <= current.newest]
    return [*_open_rotated(older), current]


def tail(path: str, lines: int) -> list[Position]:
    """The files from the last `lines` lines on, the first one placed where they begin. Opens no older file
    than needed."""
    current = _open_current(path)
    positions = [current]
    lines -= current.place_at_tail(lines)
    older = [name for name in rotated_files(path) if rotation_stamp(name) <= current.newest]
    while older and lines > 0:
        for position in _open_rotated([older.pop()]):
            lines -= position.place_at_tail(lines)
            positions.insert(0, position)
    return positions


def following(path: str, after: Position) -> list[Position]:
    """What came after the file of `after`, which was the current one once: nothing while it still is, else
    the files rotated since, and the current one."""
    try:
        if os.stat(path).st_ino == after.inode:
            return []
        current = _open_current(path)
    except FileNotFoundError:
        return []
    # The first of them is the file of `after` under its new name.
    later = [name for name in rotated_files(path) if after.newest < rotation_stamp(name) <= current.newest]
    return [*_open_rotated(later[1:]), current]


def _open_current(path: str) -> Position:
    """The current file and the newest rotated one before it, both as of one moment."""
    while True:
        newest = _newest(path)
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (the Position owns it)
        if newest == _newest(path):
            return Position(cast(BinaryIO, file), newest)
        file.close()


def _newest(path: str) -> str:
    rotated = rotated_files(path)
    return rotation_stamp(rotated[-1]) if rotated else ""


def _open_rotated(names: list[str]) -> list[Position]:
    """Under their plain or their compressed names; without those that were pruned meanwhile."""
    found = []
    for name in names:
        plain = name.removesuffix(".gz")
        for candidate in (plain, plain + ".gz"):
            try:
                file = gzip.open(candidate) if candidate.endswith(".gz") else open(candidate, "rb")  # noqa: SIM115
            except FileNotFoundError:
                continue
            found.append(Position(cast(BinaryIO, file), ""))
            break
    return found
