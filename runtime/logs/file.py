"""A container's log on disk: append, rotate by size, keep a few, compress the older ones.

Names are the kubelet's, so log shippers find them: the current file is `N.log`, a rotated one
`N.log.20260101-150405`, a compressed one `N.log.20260101-150405.gz`. The newest rotated file stays
uncompressed, because a shipper may still be in it."""

from __future__ import annotations

import calendar
import gzip
import os
import re
import shutil
import time
from dataclasses import dataclass

from podium.api.types import Obj, quantity

_ROTATED = re.compile(r"\.(\d{8}-\d{6})(\.gz)?$")
_STAMP = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class LogLimits:
    """`max_size` in bytes for one file; `max_files` counts the current file too."""

    max_size: int = 10 * 1024 * 1024
    max_files: int = 5

    @classmethod
    def parsed(cls, size: str, files: int) -> LogLimits:
        """`size` is a quantity (`10Mi`). Raises ValueError."""
        try:
            amount = int(quantity.value(size))
        except ValueError:
            raise ValueError(f"container-log-max-size: {size!r} is no quantity") from None
        if amount <= 0:
            raise ValueError("container-log-max-size must be greater than 0")
        if files < 2:
            raise ValueError("container-log-max-files must be greater than 1")
        return cls(amount, files)


def container_log_path(log_dir: str, pod: Obj, container: str, restart: int) -> str:
    """Where the log of a container's `restart`-th start is:
    {log_dir}/{namespace}_{name}_{uid}/{container}/{restart}.log."""
    meta = pod["metadata"]
    return f"{log_dir}/{meta['namespace']}_{meta['name']}_{meta['uid']}/{container}/{restart}.log"


def rotated_files(path: str) -> list[str]:
    """The rotated files of the log at `path`, oldest first. A file that is being compressed is listed once,
    as the plain one."""
    directory, name = os.path.split(path)
    found: dict[str, str] = {}
    for entry in sorted(os.listdir(directory)):
        match = _ROTATED.fullmatch(entry[len(name) :]) if entry.startswith(name) else None
        if match:
            found.setdefault(match[1], os.path.join(directory, entry))
    return [found[key] for key in sorted(found)]


def rotation_stamp(path: str) -> str:
    """The time stamp in a rotated file's name; "" for the current file. Sorts by age."""
    match = _ROTATED.search(path)
    return match[1] if match else ""


def tidy(path: str, limits: LogLimits) -> None:
    """Delete rotated files beyond the limit and compress all but the newest. Blocking: run it in a thread."""
    rotated = rotated_files(path)
    surplus = max(len(rotated) - max(limits.max_files - 1, 0), 0)
    for old in rotated[:surplus]:
        _unlink(old)
    for old in rotated[surplus:-1]:
        if not old.endswith(".gz"):
            _compress(old)


def _compress(path: str) -> None:
    temporary = path + ".tmp"
    with open(path, "rb") as source, gzip.open(temporary, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 256 * 1024)
    os.rename(temporary, path + ".gz")
    _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class LogFile:
    """The current file, open for append. Not thread-safe: one caller at a time.

    A write that fails (disk full) raises OSError and keeps what is not written; `append(b"")` tries again.
    Nothing is dropped."""

    def __init__(self, path: str, limits: LogLimits) -> None:
        self.path = path
        self.limits = limits
        self.rotations = 0
        self._backlog = b""
        self._fd = -1
        self._size = 0
        self._open()

    def append(self, records: bytes) -> None:
        """Write whole records, after rotating if they would not fit into the current file."""
        data = self._backlog + records if self._backlog else records
        self._backlog = data
        if self._size and self._size + len(data) > self.limits.max_size:
            self._rotate()
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]
        finally:
            self._backlog = bytes(view)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            # A full disk or a crash cut the last record off; what follows must begin on a line of its own.
            self._size += os.write(self._fd, b"\n")

    def _rotate(self) -> None:
        rotated = f"{self.path}.{self._next_stamp()}"
        try:
            os.rename(self.path, rotated)
        except FileNotFoundError:
            pass  # somebody moved the file away: begin a new one all the same
        self.close()
        self._open()
        self.rotations += 1

    def _next_stamp(self) -> str:
        """Now, or a second after the newest rotated file when a flood rotates more than once a second:
        names must sort."""
        rotated = rotated_files(self.path) if os.path.isdir(os.path.dirname(self.path)) else []
        now = int(time.time())
        if rotated:
            newest = calendar.timegm(time.strptime(rotation_stamp(rotated[-1]), _STAMP))
            now = max(now, newest + 1)
        return time.strftime(_STAMP, time.gmtime(now))
