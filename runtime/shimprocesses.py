"""The processes of shims, as /proc shows them: for those that containerd does not know, or no longer."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_NAME = "containerd-shim"
_RUNTIME = "runc"
# A container's first process, the runtime that makes it, the shim.
_GENERATIONS = 2


def shim_of(pid: int) -> int:
    """The shim that looks after a process, itself or by a runtime that it waits for; 0 where none does."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for _ in range(_GENERATIONS):
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if Path(f"/proc/{pid}/comm").read_text().startswith(_NAME):
                return pid
    return 0


def end_idle(shim: int) -> None:
    """Ends a shim that has no container left to look after: runtimes that still run for it are none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if all(map(_is_nothing, _children(shim))):
            os.kill(shim, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def _is_nothing(pid: int) -> bool:
    """Whether a process has ended, or is a runtime that looks after nobody."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        return rest.split()[0] == "Z" or (name == _RUNTIME and all(map(_is_nothing, _children(pid))))
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill_of(socket: str) -> None:
    """Ends all shims of the containerd of that socket: one that was killed may have begun to start some that
    it never got to know."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = (entry / "cmdline").read_text(errors="replace").split("\0")
            if _NAME in command[0] and socket in command:
                os.kill(int(entry.name), signal.SIGKILL)
