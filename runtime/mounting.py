"""The system calls for mounts and namespaces that Python has no names for. All of them block briefly: call
them in threads."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 2, 4, 8, 4096
MNT_DETACH = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x04000000, 0x08000000, 0x20000000
PR_CAPBSET_READ = 23


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


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread."""
    _check(_LIBC.unshare(flags), "unshare")


def is_mounted(path: str | Path) -> bool:
    """Whether `path` itself is a mount point, of a file or a directory."""
    target = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return any(line.split(" ", 5)[4] == target for line in table)


def mounts_below(path: str | Path) -> list[str]:
    """Mount points in a directory, those mounted last first."""
    prefix = f"{os.path.realpath(path)}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        found = [line.split(" ", 5)[4] for line in table if prefix in line]
    return [each for each in reversed(found) if each.startswith(prefix)]
