"""Network namespaces: made, pinned by a bind mount, entered, let go.

Only a thread changes its namespace here, never the process: each such piece of work runs in a thread of its
own (`in_thread`), which ends with it, so that no thread is ever left in a foreign namespace. (The `os`
functions for this come with Python 3.12; hence libc.)
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MNT_DETACH = 2
# ioctl of a namespace's file: which kind it is (ioctl_ns(2)).
NS_GET_NSTYPE = 0xB703
OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def pinned(path: str) -> bool:
    """Whether a network namespace is mounted at `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return fcntl.ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError as error:
        if error.errno == errno.ENOTTY:
            return False
        raise
    finally:
        os.close(descriptor)


def create(path: str) -> None:
    """Moves the calling thread into a new network namespace and pins that at `path`."""
    _check(_libc.unshare(CLONE_NEWNET), "unshare network namespace")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    _check(_libc.mount(OWN.encode(), path.encode(), None, MS_BIND, None), f"pin network namespace at {path}")


def enter(path: str) -> None:
    """Moves the calling thread into the namespace pinned at `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), f"enter network namespace {path}")
    finally:
        os.close(descriptor)


def unpin(path: str) -> None:
    """Lets the namespace at `path` go; it dies with its last process. Nothing there is fine."""
    if not os.path.lexists(path):
        return
    if _libc.umount2(path.encode(), MNT_DETACH) != 0 and ctypes.get_errno() not in (
        errno.EINVAL,
        errno.ENOENT,
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"unpin network namespace {path}: {os.strerror(code)}")
    Path(path).unlink(missing_ok=True)


async def in_thread(work: Callable[[], T]) -> T:
    """Runs `work` in a thread that ends with it. A caller that is cancelled does not stop the work."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 (handed to whoever waits)
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="netd-namespace", daemon=True).start()
    return await future
