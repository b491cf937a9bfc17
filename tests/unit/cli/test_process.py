"""Daemons that are started, found again, waited for and stopped: by pid, never by name."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from podium.cli.errors import CommandError
from podium.cli.process import Daemon, Notify, claim_notify_socket, say_ready, start_time

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon("thing", tmp_path / "run", tmp_path / "logs" / "thing.log")


def test_a_daemon_is_found_again_by_its_pid_file_and_stopped(daemon: Daemon) -> None:
    process = daemon.start(SLEEPS)
    again = Daemon(daemon.name, daemon.pid_file.parent, daemon.log)
    assert again.pid() == process.pid
    assert again.stop(10) is True
    assert process.wait(5) == -15
    assert again.pid() is None
    assert not daemon.pid_file.exists()
    assert again.stop(10) is False


def test_one_that_ignores_sigterm_is_killed_after_its_time(daemon: Daemon) -> None:
    deaf = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    process = daemon.start([sys.executable, "-c", deaf])
    reader = os.open(daemon.log, os.O_RDONLY)
    try:
        while not os.pread(reader, 4, 0):
            os.sched_yield()
    finally:
        os.close(reader)
    assert daemon.stop(0.1) is True
    assert process.wait(5) == -9


def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_ours(daemon: Daemon) -> None:
    daemon.pid_file.parent.mkdir(parents=True)
    daemon.pid_file.write_text(f"{os.getpid()} 1\n")
    assert daemon.pid() is None
    assert daemon.stop(1) is False
    assert start_time(os.getpid())


def test_one_whose_pid_file_is_lost_or_of_another_boot_is_found_by_its_command(tmp_path: Path) -> None:
    mark = f"--data-dir={tmp_path}"
    daemon = Daemon("thing", tmp_path / "run", tmp_path / "thing.log", ["-c", mark])
    assert daemon.pid() is None
    process = daemon.start([*SLEEPS, mark])
    daemon.pid_file.write_text("1 1\n")
    assert daemon.pid() == process.pid
    daemon.pid_file.unlink()
    assert daemon.stop(10) is True
    assert process.wait(5) == -15
    assert daemon.pid() is None


def test_a_zombie_is_not_alive(daemon: Daemon) -> None:
    process = daemon.start([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert daemon.pid() is None
    process.wait()


def test_whoever_waits_hears_of_readiness(daemon: Daemon, tmp_path: Path) -> None:
    notify = Notify(tmp_path / "run", "thing")
    says = (
        "import os, signal; from podium.cli.process import claim_notify_socket, say_ready;"
        "say_ready(claim_notify_socket()); assert 'NOTIFY_SOCKET' not in os.environ; signal.pause()"
    )
    process = daemon.start([sys.executable, "-c", says], notify)
    notify.wait(daemon, process, 20)
    notify.close()
    assert not Path(notify.path).exists()
    assert daemon.pid() == process.pid
    daemon.stop(5)
    process.wait()


def test_one_that_ends_instead_shows_the_end_of_its_log(daemon: Daemon, tmp_path: Path) -> None:
    notify = Notify(tmp_path / "run", "thing")
    process = daemon.start([sys.executable, "-c", "import sys; sys.exit('no string section')"], notify)
    with pytest.raises(CommandError, match=r"ended with code 1.*\n.*no string section"):
        notify.wait(daemon, process, 20)
    notify.close()


def test_one_that_takes_too_long_is_named(daemon: Daemon, tmp_path: Path) -> None:
    notify = Notify(tmp_path / "run", "thing")
    process = daemon.start(SLEEPS, notify)
    with pytest.raises(CommandError, match=r"thing was not ready within 0 s"):
        notify.wait(daemon, process, 0.05)
    notify.close()
    daemon.stop(5)
    process.wait()


def test_nobody_asked_nobody_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert claim_notify_socket() == ""
    say_ready("")
    say_ready(str(tmp_path / "gone"))
    path = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        say_ready(path)
        assert listener.recv(100) == b"READY=1"
    say_ready(path)
