"""Daemons of a local cluster: started detached, found again by a pid file, stopped by pid, ready when they
say so.

A pid file holds the pid and the process's start time (field 22 of /proc/PID/stat), so that a pid that was
given to another process meanwhile is never taken for ours.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from podium.cli.errors import CommandError


def start_time(pid: int) -> str:
    """When `pid` started, in clock ticks since boot; "" when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


class Daemon:
    """One background process, named by its pid file in `run_dir`. `marks` are arguments of its command that
    no other process has all of: by them it is found when its file is lost."""

    def __init__(self, name: str, run_dir: Path, log: Path, marks: Sequence[str] = ()) -> None:
        self.name = name
        self.pid_file = run_dir / f"{name}.pid"
        self.log = log
        self._marks = frozenset(mark.encode() for mark in marks)

    def pid(self) -> int | None:
        """The pid while the process is alive."""
        try:
            pid, _, started = self.pid_file.read_text().strip().partition(" ")
        except FileNotFoundError:
            return self._found()
        alive = pid.isdigit() and started and start_time(int(pid)) == started
        return int(pid) if alive else self._found()

    def _found(self) -> int | None:
        """By its command: who emptied the run folder has not ended it."""
        if not self._marks:
            return None
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._marks <= _arguments(entry) and start_time(int(entry.name)):
                return int(entry.name)
        return None

    def start(self, command: list[str], notify: Notify | None = None) -> subprocess.Popen[bytes]:
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        environment.pop("NOTIFY_SOCKET", None)
        if notify:
            environment["NOTIFY_SOCKET"] = notify.path
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env=environment
            )  # fmt: skip
        # Whole or not at all: a daemon whose file is cut short would never be found again.
        scratch = self.pid_file.with_suffix(".tmp")
        scratch.write_text(f"{process.pid} {start_time(process.pid)}\n")
        os.replace(scratch, self.pid_file)
        return process

    def stop(self, timeout: float) -> bool:
        """SIGTERM, then SIGKILL after `timeout` seconds. False when it was not running."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return False
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not ended(handle, timeout):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                ended(handle, 10)
        except ProcessLookupError:
            # It ended by itself between the look and the signal, which is what was wanted.
            return True
        finally:
            os.close(handle)
            self.pid_file.unlink(missing_ok=True)
        return True

    def tail(self, lines: int = 15) -> str:
        """The end of its log, for the message when it fails."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def _arguments(process: Path) -> frozenset[bytes]:
    """None of a process that is gone, or the kernel's own."""
    try:
        return frozenset((process / "cmdline").read_bytes().split(b"\0"))
    except OSError:
        return frozenset()


def ended(handle: int, timeout: float) -> bool:
    """Whether the process of a pidfd ends within `timeout` seconds."""
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


class Notify:
    """The receiving end of sd_notify(3): daemons say READY=1 to $NOTIFY_SOCKET, under systemd or under
    `podium up`."""

    def __init__(self, run_dir: Path, name: str) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        self.path = str(run_dir / f"{name}.notify")
        Path(self.path).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)

    def wait(
        self,
        daemon: Daemon,
        process: subprocess.Popen[bytes],
        timeout: float,
        beside: Sequence[tuple[Daemon, subprocess.Popen[bytes]]] = (),
    ) -> None:
        """Returns when the daemon says it is ready. Raises CommandError when it, or one of those that it may
        need, ends, or when it takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        watched = {os.pidfd_open(entry[1].pid): entry for entry in ((daemon, process), *beside)}
        try:
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([self._socket.fileno(), *watched], [], [], left)
                if self._socket.fileno() in readable and b"READY=1" in self._socket.recv(4096).split(b"\n"):
                    return
                for handle in watched.keys() & set(readable):
                    ended_daemon, ended_process = watched[handle]
                    raise CommandError(
                        f"{ended_daemon.name} ended with code {ended_process.wait()}; the end of "
                        f"{ended_daemon.log}:\n{ended_daemon.tail()}"
                    )
        finally:
            for handle in watched:
                os.close(handle)
        raise CommandError(
            f"{daemon.name} was not ready within {timeout:.0f} s; the end of {daemon.log}:\n{daemon.tail()}"
        )

    def close(self) -> None:
        self._socket.close()
        Path(self.path).unlink(missing_ok=True)


def claim_notify_socket() -> str:
    """Where to say READY, taken out of the environment: a child such as containerd would say it in our name.
    "" when nobody asked."""
    return os.environ.pop("NOTIFY_SOCKET", "")


def say_ready(path: str) -> None:
    """Tells whoever started this process that it is ready (sd_notify)."""
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        try:
            notifier.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)
        except (FileNotFoundError, ConnectionRefusedError):
            # Whoever waited has given up; the daemon itself is fine.
            return
