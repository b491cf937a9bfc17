"""What befalls machines: daemons killed, power cut, cables pulled. Each deed is undone before the next."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random

from podium.runtime.containerd.process import listener
from tests.conformance.conftest import LocalCluster
from tests.conformance.survival.processes import run_dir, shims


class Havoc(threading.Thread):
    """Kills at random until told to stop; `story` tells what, in order. Ends with everything started again."""

    def __init__(self, cluster: LocalCluster, nodes: list[str], random: Random) -> None:
        super().__init__(name="havoc")
        self.story: list[str] = []
        self._cluster, self._nodes, self._random = cluster, nodes, random
        self._stop_it = threading.Event()

    def stop(self) -> None:
        self._stop_it.set()

    def run(self) -> None:
        deeds: list[Callable[[], None]] = [
            self._kill_server, self._kill_daemon, self._kill_containerd, self._kill_shim,
            self._power_cut, self._unplug, self._flap, self._kill_up,
        ]  # fmt: skip
        try:
            while not self._stop_it.wait(self._random.uniform(2, 6)):
                self._random.choice(deeds)()
        finally:
            self._restore()

    def _restore(self) -> None:
        for name in self._nodes[1:]:
            self._node("mend", name)
        self._up()

    def _node(self, action: str, name: str) -> None:
        done = self._cluster.podium("node", action, name, "--data-dir", str(self._cluster.data), timeout=120)
        self._tell(f"{action} {name}: {done.returncode} {done.stderr[-200:] if done.returncode else ''}")

    def _kill(self, what: str, pid: int | None) -> None:
        try:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pid = None
        self._tell(f"{what}: killed {pid}" if pid is not None else f"{what}: was not there")

    def _kill_daemon_of(self, what: str, pid_file: Path) -> None:
        try:
            pid = int(pid_file.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            pid = None
        self._kill(what, pid)

    def _tell(self, event: str) -> None:
        self.story.append(f"{datetime.now():%H:%M:%S} {event}")

    def _run_dir(self, name: str) -> Path:
        return run_dir(self._cluster, self._nodes, name)

    def _kill_server(self) -> None:
        self._kill_daemon_of("server", self._cluster.root / "run" / "server.pid")
        self._stop_it.wait(self._random.uniform(0, 3))
        self._up()

    def _perhaps_kill_server(self) -> None:
        """In the middle of something else."""
        if self._random.random() < 1 / 3:
            self._kill_server()

    def _kill_daemon(self) -> None:
        name = self._random.choice(self._nodes)
        self._kill_daemon_of(f"daemon of {name}", self._run_dir(name) / "node.pid")
        self._stop_it.wait(self._random.uniform(0, 3))
        self._up()

    def _up(self) -> None:
        done = self._cluster.up()
        self._tell(f"up: {done.returncode} {done.stderr[-300:] if done.returncode else ''}")

    def _kill_containerd(self) -> None:
        name = self._random.choice(self._nodes)
        pid = listener(str(self._run_dir(name) / "containerd" / "containerd.sock"))
        self._kill(f"containerd of {name}", pid)

    def _kill_shim(self) -> None:
        name = self._random.choice(self._nodes)
        found = shims(self._run_dir(name) / "containerd" / "containerd.sock")
        self._kill(f"shim of {name}", self._random.choice(found) if found else None)

    def _kill_up(self) -> None:
        """The command that repairs ends in the middle of it."""
        for name in self._nodes:
            self._kill_daemon_of(f"daemon of {name}", self._run_dir(name) / "node.pid")
        self._kill_daemon_of("server", self._run_dir(self._nodes[0]) / "server.pid")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._cluster.up(timeout=self._random.uniform(0.3, 4))
        self._tell("up: killed")
        self._up()

    def _power_cut(self) -> None:
        name = self._random.choice(self._nodes)
        self._node("kill", name)
        self._perhaps_kill_server()
        self._stop_it.wait(self._random.uniform(0, 10))
        self._node("start", name)

    def _unplug(self) -> None:
        name = self._random.choice(self._nodes[1:])
        self._node("cut", name)
        self._perhaps_kill_server()
        self._stop_it.wait(self._random.uniform(1, 15))
        self._node("mend", name)

    def _flap(self) -> None:
        name = self._random.choice(self._nodes[1:])
        for _ in range(3):
            self._node("cut", name)
            self._stop_it.wait(2.5)
            self._node("mend", name)
            self._stop_it.wait(2.5)
