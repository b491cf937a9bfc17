"""What processes use, as the kernel counts it. Plain files: quick, but for threads."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from podium.runtime.cgroups import Cgroups


@dataclass(frozen=True)
class Usage:
    """`cpu_ns` since the group was made; memory in bytes. The working set is what cannot be dropped when
    memory gets scarce. `at_ns` is when it was read, since the epoch."""

    at_ns: int
    cpu_ns: int
    memory: int
    working_set: int
    rss: int
    major_faults: int
    page_faults: int


@dataclass(frozen=True)
class Traffic:
    """One network interface's counters."""

    name: str
    received: int
    receive_errors: int
    sent: int
    send_errors: int
    packets_received: int = 0
    receive_drops: int = 0
    packets_sent: int = 0
    send_drops: int = 0


@dataclass(frozen=True)
class FileSystem:
    """Sizes in bytes."""

    available: int
    capacity: int
    used: int
    inodes_free: int
    inodes: int


def file_system(path: Path) -> FileSystem:
    """The one that holds `path`. Raises OSError."""
    found = os.statvfs(path)
    size = found.f_frsize
    used = (found.f_blocks - found.f_bfree) * size
    return FileSystem(found.f_bavail * size, found.f_blocks * size, used, found.f_ffree, found.f_files)


def swap() -> tuple[int, int]:
    """(free, used) of the machine's, in bytes."""
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo")}
    free = memory.get("SwapFree", 0)
    return free, memory.get("SwapTotal", 0) - free


def pids() -> tuple[int, int]:
    """How many processes and threads there may be, and are."""
    most = min(int(Path("/proc/sys/kernel", name).read_text()) for name in ("pid_max", "threads-max"))
    return most, int(_lines("/proc/loadavg")[0].split()[3].partition("/")[2])


def booted_at() -> float:
    """Seconds since the epoch."""
    return float(next(line.split()[1] for line in _lines("/proc/stat") if line.startswith("btime ")))


def group_usage(cgroups: Cgroups, path: str) -> Usage | None:
    """One group's counters; None when it is gone."""
    relative = path.lstrip("/")
    try:
        if cgroups.unified:
            return _unified(cgroups.mount / relative)
        return _split(cgroups.mount / "cpuacct" / relative, cgroups.mount / "memory" / relative)
    except OSError:
        return None


def _unified(folder: Path) -> Usage:
    memory = int((folder / "memory.current").read_text())
    counters = _pairs(folder / "memory.stat")
    return Usage(
        time.time_ns(),
        _pairs(folder / "cpu.stat")["usage_usec"] * 1000,
        memory,
        max(memory - counters.get("inactive_file", 0), 0),
        counters.get("anon", 0),
        counters.get("pgmajfault", 0),
        counters.get("pgfault", 0),
    )


def _split(cpu: Path, memory_folder: Path) -> Usage:
    memory = int((memory_folder / "memory.usage_in_bytes").read_text())
    counters = _pairs(memory_folder / "memory.stat")
    return Usage(
        time.time_ns(),
        int((cpu / "cpuacct.usage").read_text()),
        memory,
        max(memory - counters.get("total_inactive_file", 0), 0),
        counters.get("total_rss", 0),
        counters.get("total_pgmajfault", 0),
        counters.get("total_pgfault", 0),
    )


def node_usage(cgroups: Cgroups) -> Usage:
    """What the node uses: the whole machine where it has it for itself, else its pods, this process and its
    children (containerd)."""
    if not cgroups.shared:
        return machine_usage()
    used = [group_usage(cgroups, cgroups.top), *(process_usage(pid) for pid in _family())]
    known = [usage for usage in used if usage is not None]

    def total(name: str) -> int:
        return sum(int(getattr(usage, name)) for usage in known)

    return Usage(
        time.time_ns(),
        total("cpu_ns"),
        total("memory"),
        total("working_set"),
        total("rss"),
        total("major_faults"),
        total("page_faults"),
    )


def process_usage(pid: int) -> Usage | None:
    """One process's; None when it is gone."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    resident = int(fields[21]) * page
    busy = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // ticks
    return Usage(time.time_ns(), busy, resident, resident, resident, int(fields[9]), int(fields[7]))


def _family() -> list[int]:
    found = [os.getpid()]
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in path.read_text().split()]
        except OSError:
            # The thread has ended.
            continue
    return found


def machine_usage() -> Usage:
    """From /proc."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = [int(field) for field in _lines("/proc/stat")[0].split()[1:9]]
    busy = sum(fields) - fields[3] - fields[4]  # all but idle and waiting for disks
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo")}
    used = memory["MemTotal"] - memory["MemFree"]
    events = _pairs(Path("/proc/vmstat"))
    return Usage(
        time.time_ns(),
        busy * 1_000_000_000 // ticks,
        used,
        max(used - memory.get("Inactive(file)", 0), 0),
        memory.get("AnonPages", 0),
        events.get("pgmajfault", 0),
        events.get("pgfault", 0),
    )


def memory_capacity() -> int:
    """The machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def resident_memory() -> int:
    """This process's, in bytes."""
    return int(_lines("/proc/self/statm")[0].split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traffic(pid: int) -> list[Traffic]:
    """The interfaces of a process's network namespace but loopback; none when the process is gone."""
    found = []
    try:
        lines = _lines(f"/proc/{pid}/net/dev")[2:]
    except OSError:
        return []
    for line in lines:
        name, _, numbers = line.partition(":")
        fields = [int(number) for number in numbers.split()]
        if name.strip() != "lo":
            known = (fields[at] for at in (0, 2, 8, 10, 1, 3, 9, 11))
            found.append(Traffic(name.strip(), *known))
    return found


def _lines(path: str) -> list[str]:
    with open(path) as file:
        return file.read().splitlines()


def _pairs(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
