"""What befalls machines: daemons killed, power cut, cables pulled. Each deed is undone before the next."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.conformance.conftest import LocalCluster


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
            self._kill_server, self._kill_daemon, self._kill_containerd, self._power_cut, self._unplug, self._flap,
        ]  # fmt: skip
        try:
            while not self._stop_it.wait(self._random.uniform(2, 6)):
                self._random.choice(deeds)()
        finally:
            self._restore()

    def _restore(self) -> None:
        for name in self._nodes[1:]:
            self._node("mend", name)
        done = self._cluster.up()
        self.story.append(f"up: {done.returncode} {done.stderr[-300:] if done.returncode else ''}")

    def _node(self, action: str, name: str) -> None:
        done = self._cluster.podium("node", action, name, "--data-dir", str(self._cluster.data), timeout=120)
        self.story.append(
            f"{action} {name}: {done.returncode} {done.stderr[-200:] if done.returncode else ''}"
        )

    def _kill(self, what: str, pid_file: Path) -> None:
        try:
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, ValueError, IndexError) as error:
            self.story.append(f"{what}: was not there: {error}")
        else:
            self.story.append(f"{what}: killed")

    def _run_dir(self, name: str) -> Path:
        run = self._cluster.root / "run"
        return run if name == self._nodes[0] else run / "n" / name

    def _kill_server(self) -> None:
        self._kill("server", self._cluster.root / "run" / "server.pid")
        self._stop_it.wait(self._random.uniform(0, 3))
        self._restore_daemons()

    def _kill_daemon(self) -> None:
        name = self._random.choice(self._nodes)
        self._kill(f"daemon of {name}", self._run_dir(name) / "node.pid")
        self._stop_it.wait(self._random.uniform(0, 3))
        self._restore_daemons()

    def _restore_daemons(self) -> None:
        done = self._cluster.up()
        self.story.append(f"up: {done.returncode} {done.stderr[-300:] if done.returncode else ''}")

    def _kill_containerd(self) -> None:
        name = self._random.choice(self._nodes)
        self._kill(f"containerd of {name}", self._run_dir(name) / "containerd" / "containerd.pid")

    def _power_cut(self) -> None:
        name = self._random.choice(self._nodes[1:])
        self._node("kill", name)
        self._stop_it.wait(self._random.uniform(0, 10))
        self._node("start", name)

    def _unplug(self) -> None:
        name = self._random.choice(self._nodes[1:])
        self._node("cut", name)
        self._stop_it.wait(self._random.uniform(1, 15))
        self._node("mend", name)

    def _flap(self) -> None:
        name = self._random.choice(self._nodes[1:])
        for _ in range(3):
            self._node("cut", name)
            self._stop_it.wait(2.5)
            self._node("mend", name)
            self._stop_it.wait(2.5)
