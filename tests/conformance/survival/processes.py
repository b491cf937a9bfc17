"""The processes of a node, and where it keeps its sockets and pins."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.conformance.conftest import LocalCluster


def run_dir(cluster: LocalCluster, nodes: list[str], name: str) -> Path:
    """Where a node keeps its sockets and pins; `nodes` are all, the first one first."""
    run = cluster.root / "run"
    return run if name == nodes[0] else run / "n" / name


def shims(socket: Path) -> list[int]:
    """The shims of the containerd that listens, or listened, on `socket`."""
    return [pid for pid, command in _commands() if "containerd-shim" in command[0] and str(socket) in command]


def children(pid: int) -> list[int]:
    """Of all threads; nothing for a process that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        tasks = [entry / "children" for entry in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def _commands() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append((int(entry.name), (entry / "cmdline").read_text(errors="replace").split("\0")))
    return found
