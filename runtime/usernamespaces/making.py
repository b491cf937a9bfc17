"""User namespaces and what belongs to them, made and pinned by bind mounts.

What is to belong to a user namespace has to be made by a process in it, which no thread of ours can become:
short-lived processes do it (`unshare` and `nsenter` of util-linux). Blocks briefly: call it in threads.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from podium.runtime import mounting
from podium.runtime.usernamespaces.ranges import IdRange

# Says when it is there, and stays until it is told to go.
_WAITING = ("sh", "-c", "echo; read _")
_FLAGS = {"net": "--net", "ipc": "--ipc", "uts": "--uts"}


def make(pin: Path, given: IdRange) -> None:
    """A user namespace, pinned at `pin`, in which the ids from 0 on are those of the range. Idempotent.
    Raises OSError."""
    if os.path.ismount(pin):
        return
    pin.touch()
    with namespace(given) as path:
        mounting.mount(path, str(pin), flags=mounting.MS_BIND)


@contextmanager
def namespace(given: IdRange) -> Iterator[str]:
    """Where to find such a user namespace during a block. Raises OSError."""
    with _process(("unshare", "--user", "--", *_WAITING)) as pid:
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{kind}").write_text(f"0 {given.first} {given.length}\n")
        yield f"/proc/{pid}/ns/user"


def make_within(users: Path, pins: Mapping[str, Path], *, hostname: str = "") -> None:
    """Makes further namespaces of the user namespace pinned at `users` and pins each: `pins` maps `net`,
    `ipc` and `uts` to paths, of which those that are mounted already are left alone. Raises OSError."""
    missing = {kind: pin for kind, pin in pins.items() if not os.path.ismount(pin)}
    if not missing:
        return
    flags = [_FLAGS[kind] for kind in missing]
    with _process(entering(users, "unshare", *flags, "--", *_WAITING)) as pid:
        if hostname and "uts" in missing:
            mounting.set_hostname(f"/proc/{pid}/ns/uts", hostname)
        for kind, pin in missing.items():
            pin.parent.mkdir(parents=True, exist_ok=True)
            pin.touch()
            mounting.mount(f"/proc/{pid}/ns/{kind}", str(pin), flags=mounting.MS_BIND)


def entering(users: Path, *command: str) -> list[str]:
    """The command that does another as root of the user namespace pinned at `users`."""
    return ["nsenter", f"--user={users}", "--", *command]


@contextmanager
def _process(command: Sequence[str]) -> Iterator[int]:
    """The pid of a process that is there as long as the block. Raises OSError when it cannot be."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():
            why = process.stderr.read().decode(errors="replace").strip()
            raise OSError(f"cannot make namespaces: {why}")
        yield process.pid


def start_within(users: Path, command: Sequence[str]) -> int:
    """Begins a command that goes on, as process 1 of a new PID namespace of the user namespace pinned at
    `users`; its pid out here. Raises OSError."""
    announced = ("sh", "-c", 'echo; exec "$0" "$@" >/dev/null 2>&1', *command)
    parent = subprocess.Popen(
        entering(users, "unshare", "--pid", "--fork", "--", *announced),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    assert parent.stdout is not None
    with parent.stdout as told:
        if not told.readline():
            raise OSError("cannot make a PID namespace")
    return int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text())
