"""Looks at what the machine has left, and at who uses it. Small files and statvfs: quick, but for threads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from podium.runtime.cgroups import Cgroups
from podium.runtime.eviction.thresholds import (
    ALLOCATABLE_MEMORY,
    CONTAINER_FS,
    CONTAINER_INODES,
    IMAGE_FS,
    IMAGE_INODES,
    MEMORY,
    NODE_FS,
    NODE_INODES,
    PIDS,
)
from podium.runtime.eviction.watch import Seen
from podium.runtime.nodeapi.usage import group_usage, machine_usage, memory_capacity


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. `pods` is what all pods together may have of the memory, in bytes."""

    node: Path
    images: Path
    cgroups: Cgroups
    pods: int

    @property
    def dedicated(self) -> bool:
        """Whether images and containers have a file system to themselves."""
        return _existing(self.node).stat().st_dev != _existing(self.images).stat().st_dev


def look(places: Places) -> dict[str, Seen]:
    """By signal. What cannot be looked at is left out."""
    seen = {}
    capacity = memory_capacity()
    seen[MEMORY] = Seen(max(0, capacity - machine_usage().working_set), capacity)
    pods = group_usage(places.cgroups, places.cgroups.top)
    if pods is not None:
        seen[ALLOCATABLE_MEMORY] = Seen(max(0, places.pods - pods.working_set), places.pods)
    for path, space, inodes in (
        (places.node, NODE_FS, NODE_INODES),
        (places.images, IMAGE_FS, IMAGE_INODES),
    ):
        found = os.statvfs(_existing(path))
        seen[space] = Seen(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
        if found.f_files:
            seen[inodes] = Seen(found.f_ffree, found.f_files)
    # What containers write lies beside the images.
    for signal, same in ((CONTAINER_FS, IMAGE_FS), (CONTAINER_INODES, IMAGE_INODES)):
        if same in seen:
            seen[signal] = seen[same]
    seen[PIDS] = _pids()
    return seen


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def disk_size(path: Path) -> int:
    """Bytes of the file system that holds `path`."""
    found = os.statvfs(_existing(path))
    return found.f_blocks * found.f_frsize


def _pids() -> Seen:
    limits = (Path("/proc/sys/kernel") / name for name in ("pid_max", "threads-max"))
    most = min(int(path.read_text()) for path in limits)
    threads = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return Seen(most - threads, most)


def processes(cgroups: Cgroups, path: str) -> int:
    """How many a group and those below it have."""
    root = cgroups.mount if cgroups.unified else cgroups.mount / "memory"
    return sum(_count(Path(inner)) for inner, _, _ in os.walk(root / path.lstrip("/")))


def _count(folder: Path) -> int:
    try:
        return len((folder / "cgroup.procs").read_text().split())
    except OSError:
        return 0
