"""What the machine is short of. Thresholds are the kubelet's defaults for hard eviction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIN_MEMORY = 100 * 1024 * 1024
MIN_DISK_SHARE = 0.10
MIN_INODE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Pressure:
    memory: bool = False
    disk: bool = False
    pids: bool = False


def look(data_dir: Path) -> Pressure:
    """Reads a few small files and asks the file system: tens of microseconds."""
    return Pressure(_memory(), _disk(data_dir), _pids())


def _memory() -> bool:
    with open("/proc/meminfo", encoding="ascii") as table:
        for line in table:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 < MIN_MEMORY
    return False


def _disk(path: Path) -> bool:
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    inodes_short = bool(found.f_files) and found.f_favail < found.f_files * MIN_INODE_SHARE
    return inodes_short or found.f_bavail < found.f_blocks * MIN_DISK_SHARE


def _pids() -> bool:
    """Fewer than a thousand left."""
    limit = int(Path("/proc/sys/kernel/pid_max").read_text())
    with open("/proc/loadavg", encoding="ascii") as table:
        threads = int(table.read().split()[3].partition("/")[2])
    return limit - threads < 1000


def disk_size(path: Path) -> int:
    """Bytes of the file system that holds `path`."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize
