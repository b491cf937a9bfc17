"""One command at a time brings a cluster up or down."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a cluster's data folder for this process alone. `waiting` is called once when another process
    holds it, before waiting for that one to end. The kernel lets go of it whatever becomes of us.

    The folder is made if it is missing, and removed again if nothing was put into it."""
    missing = not folder.exists()
    handle = _locked(folder, waiting)
    try:
        yield
    finally:
        if missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        os.close(handle)


def _locked(folder: Path, waiting: Callable[[], None]) -> int:
    told = False
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                waiting()
                told = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Who held it before may have removed the folder: then a new one of that name is to be held.
        if _is_at(folder, handle):
            return handle
        os.close(handle)


def _is_at(folder: Path, handle: int) -> bool:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))
