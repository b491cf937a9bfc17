"""What a cluster on this machine costs while nothing happens."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def measure(run_dir: str, seconds: float) -> dict[str, Any]:
    """Resident megabytes and percent of one core, by process, from the pid files of `run_dir`."""
    pids = {path.stem: int(path.read_text().split()[0]) for path in Path(run_dir).rglob("*.pid")}
    if not pids:
        raise SystemExit(f"no pid files in {run_dir}: is a cluster up there? (--run-dir names another)")
    before = {name: _cpu(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    figures: dict[str, Any] = {
        name: {
            "resident_mb": round(_resident(pid), 1),
            "cpu_percent": round((_cpu(pid) - before[name]) / seconds * 100, 2),
        }
        for name, pid in pids.items()
    }
    own = [figures[name] for name in ("server", "node") if name in figures]
    figures["server_and_node"] = {
        key: round(sum(entry[key] for entry in own), 2) for key in ("resident_mb", "cpu_percent")
    }
    return figures


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    return 0.0
