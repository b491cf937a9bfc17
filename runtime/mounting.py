"""The system calls for mounts and namespaces that Python has no names for. All of them block briefly: call
them in threads."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 2, 4, 8, 4096
MNT_DETACH = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x04000000, 0x08000000, 0x20000000
PR_CAPBSET_READ = 23

# Calls that libc has no names for; their numbers are the same on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _FROM_EMPTY_PATH = -100, 0x1000, 0x4
_OPEN_TREE_CLONE, _MOUNT_ATTR_IDMAP = 1, 0x100000


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace"))


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    result = _LIBC.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, f"mount {target}")


def show_mapped(source: str, target: str, users: str) -> None:
    """Shows at `target` what lies at `source`, with owners as the user namespace at `users` maps them.
    Raises OSError: EINVAL where the file system cannot do that. Source: mount_setattr(2)."""
    tree = _system(_OPEN_TREE, _AT_FDCWD, source.encode(), _OPEN_TREE_CLONE | os.O_CLOEXEC, what=source)
    namespace = os.open(users, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = _MountAttributes(_MOUNT_ATTR_IDMAP, 0, 0, namespace)
        size = ctypes.sizeof(wanted)
        _system(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size, what=f"map {source}")
        _system(_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), _FROM_EMPTY_PATH, what=f"mount {target}")
    finally:
        os.close(namespace)
        os.close(tree)


def _system(number: int, *arguments: Any, what: str) -> int:
    result = int(_LIBC.syscall(ctypes.c_long(number), *arguments))
    _check(min(result, 0), what)
    return result


def unmount(target: str | Path) -> None:
    """Detaches a mount, in use or not. Idempotent: what is not mounted or not there is no error."""
    if _LIBC.umount2(str(target).encode(), MNT_DETACH) != 0:
        code = ctypes.get_errno()
        if code not in (22, 2):  # EINVAL: not a mount point; ENOENT
            raise OSError(code, f"unmount {target}: {os.strerror(code)}")


def in_new_namespaces(flags: int, pins: Mapping[str, Path], *, hostname: str = "") -> None:
    """Makes new namespaces and pins each by a bind mount: `pins` maps names in /proc/PID/ns to existing
    files.

    A thread of its own enters them, since a namespace is entered by a thread and for good. Raises OSError."""

    def enter() -> None:
        _check(_LIBC.unshare(flags), "unshare")
        if hostname:
            socket.sethostname(hostname)
        for kind, pin in pins.items():
            mount(f"/proc/self/task/{threading.get_native_id()}/ns/{kind}", str(pin), flags=MS_BIND)

    apart(enter)


def apart(work: Callable[[], None]) -> None:
    """Runs `work` in a thread that ends with it, and raises here what it raises there."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (raised again by the caller)
            failures.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def set_hostname(namespace: str, name: str) -> None:
    """Names the machine in the UTS namespace at a path. Raises OSError."""

    def enter() -> None:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_LIBC.setns(descriptor, CLONE_NEWUTS), f"enter {namespace}")
        finally:
            os.close(descriptor)
        socket.sethostname(name)

    apart(enter)


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread."""
    _check(_LIBC.unshare(flags), "unshare")


def is_mounted(path: str | Path) -> bool:
    """Whether `path` itself is a mount point, of a file or a directory."""
    target = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return any(line.split(" ", 5)[4] == target for line in table)


def file_system(path: str | Path) -> str:
    """The kind of file system that an existing path lies on: `ext4`."""
    number = os.stat(path).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        found = (line.partition(" - ")[2] for line in table if line.split(" ", 3)[2] == device)
        return next(found, "").partition(" ")[0]


def mounts_below(path: str | Path) -> list[str]:
    """Mount points in a directory, those mounted last first."""
    prefix = f"{os.path.realpath(path)}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        found = [line.split(" ", 5)[4] for line in table if prefix in line]
    return [each for each in reversed(found) if each.startswith(prefix)]
