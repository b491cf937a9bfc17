"""The system calls that Python does not have: mounts, and opening a path that cannot leave its directory."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

# The same number on every architecture that got the call (5.6).
_SYS_OPENAT2: Final = 437
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def mount(source: str, target: str, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """Raises OSError."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), fstype.encode(), ctypes.c_ulong(flags), os.fsencode(options)
    )
    _check(result, target)


def unmount(target: str) -> None:
    """Detaches the mount at once, whoever still uses it. Nothing mounted there is fine. Raises OSError."""
    result = _libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW)
    if result < 0 and ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        _check(result, target)


def unmount_flushed(target: str) -> None:
    """Takes the mount away once everything written to it is on its disk. In use, it is flushed now and goes
    with its last user. Nothing mounted there is fine. Raises OSError."""
    if _libc.umount2(os.fsencode(target), UMOUNT_NOFOLLOW) == 0:
        return
    if ctypes.get_errno() == errno.EBUSY:
        sync_filesystem(target)
    unmount(target)


def sync_filesystem(path: str) -> None:
    """Returns when all of the file system that `path` lies on is on its disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(descriptor), path)
    finally:
        os.close(descriptor)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Shows `source` at `target`, without what is mounted below it. Raises OSError; then nothing is
    mounted."""
    mount(source, target, flags=MS_BIND)
    if not read_only:
        return
    try:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    except OSError:
        unmount(target)
        raise


def open_beneath(directory: int, path: str, flags: int, resolve: int = RESOLVE_BENEATH) -> int:
    """A descriptor of `path`, which the kernel resolves without ever leaving the open `directory`. Raises
    OSError: EXDEV where it would leave."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS)
    result = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        directory,
        os.fsencode(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    _check(result, path)
    return int(result)


def mounts_below(folder: Path) -> list[str]:
    """The mount points in and below `folder`, deepest and newest first: the order to unmount them in."""
    below = os.path.join(os.path.realpath(folder), "")
    found = [point for point in _mount_points() if point.startswith(below) or point == below[:-1]]
    return found[::-1]


def is_mount_point(path: Path) -> bool:
    return os.path.realpath(path) in _mount_points()


def mounts_of(device: int) -> list[str]:
    """Where the file system of `device` (an `st_dev`) is mounted, whole or in part."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return [entry.point for entry in mount_table() if entry.device == number]


class Mount(NamedTuple):
    """A line of mountinfo: the file system's device as "MAJOR:MINOR", and where it is mounted."""

    device: str
    point: str


def mount_table() -> list[Mount]:
    """In the order in which they were mounted, a mount always after what it lies on."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        split = (line.split(" ", 5) for line in lines)
        return [Mount(fields[2], _unescape(fields[4])) for fields in split]


def _mount_points() -> list[str]:
    return [entry.point for entry in mount_table()]


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _check(result: int, path: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
