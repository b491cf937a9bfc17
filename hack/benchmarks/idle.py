"""What a cluster on this machine costs while nothing happens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from process import Process

from podium.runtime.containerd.process import listener


def measure(run_dir: str, seconds: float) -> dict[str, Any]:
    """Resident megabytes and percent of one core, by process: the server, the daemons
    and the containerds of the nodes."""
    pids = daemons(run_dir)
    if not pids:
        raise SystemExit(f"no daemons in {run_dir}: is a cluster up there? (--run-dir names another)")
    before = {name: Process(pid).cpu for name, pid in pids.items()}
    time.sleep(seconds)
    figures: dict[str, Any] = {
        name: {
            "resident_mb": round(Process(pid).resident, 1),
            "cpu_percent": round((Process(pid).cpu - before[name]) / seconds * 100, 2),
        }
        for name, pid in pids.items()
    }
    every = list(figures.values())
    keys = ("resident_mb", "cpu_percent")
    nodes = [figures[name] for name in figures if name.endswith("node")]
    server_and_nodes = [*([figures["server"]] if "server" in figures else []), *nodes]
    figures["server_and_nodes"] = {
        key: round(sum(entry[key] for entry in server_and_nodes), 2) for key in keys
    }
    figures["all"] = {key: round(sum(entry[key] for entry in every), 2) for key in keys}
    return figures


def daemons(run_dir: str) -> dict[str, int]:
    """The process of each daemon by name: `server`, `node`, `containerd`, and NAME/node, NAME/containerd for
    nodes in namespaces."""
    run = Path(run_dir)
    found = {}
    for path in (run / "server.pid", run / "node.pid", *sorted(run.glob("n/*/node.pid"))):
        if path.exists():
            prefix = "" if path.parent == run else f"{path.parent.name}/"
            found[f"{prefix}{path.stem}"] = int(path.read_text().split()[0])
    for path in (run, *sorted(run.glob("n/*"))):
        if pid := listener(str(path / "containerd" / "containerd.sock")):
            found[f"{'' if path == run else path.name + '/'}containerd"] = pid
    return found
