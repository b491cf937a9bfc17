"""A cluster of three nodes, in a network namespace and folders of its own: how long it takes to come up, and
what it costs while nothing happens. Run by `unshare --net`, as root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import idle

TIMES = 3
# Seconds after which what a start leaves to be done is done.
SETTLED = 20.0
PODIUM = str(Path(sys.executable).with_name("podium"))


def measure(seconds: float) -> dict[str, Any]:
    """From the command to all nodes Ready, seconds; then the cluster idle for `seconds`."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    where = ["--data-dir", f"{folder}/data", "--kubeconfig", f"{folder}/kubeconfig"]
    taken = []
    try:
        for turn in range(TIMES):
            started = time.perf_counter()
            _podium(
                "up", *where, "--nodes", "3", "--quiet", "--run-dir", f"{folder}/run",
                "--log-dir", f"{folder}/pods", "--cgroup-root", f"podium-bench-{os.getpid()}",
                "--dns-upstream", "127.0.0.1:53",
            )  # fmt: skip
            taken.append(round(time.perf_counter() - started, 2))
            if turn < TIMES - 1:
                _podium("down", "--purge", *where)
        time.sleep(SETTLED)
        return {
            "up_s": {"median": sorted(taken)[TIMES // 2], "all": taken},
            "idle": idle.measure(f"{folder}/run", seconds),
        }
    finally:
        _podium("down", "--purge", *where)
        shutil.rmtree(folder, ignore_errors=True)


def _podium(*arguments: str) -> None:
    subprocess.run([PODIUM, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]))))
