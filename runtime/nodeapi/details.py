"""What the kernel counts of a group beyond its use of cpu and memory: limits, throttling, stalls, processes,
swap, disks. Plain files: quick, but for threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium.api.types import Obj
from podium.runtime.cgroups import Cgroups

_TICK = 10_000_000  # nanoseconds; USER_HZ is 100 on every architecture
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Details:
    """Times in nanoseconds, sizes in bytes, `quota` and `period` in microseconds; -1 for no limit. `pressure`
    is by resource (cpu, memory, io), as the Summary tells it; empty where the kernel does not count it."""

    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled: int = 0
    throttled_ns: int = 0
    quota: int = -1
    period: int = 100_000
    shares: int = 0
    cache: int = 0
    mapped: int = 0
    swap: int = 0
    peak: int = 0
    failures: int = 0
    limit: int = -1
    processes: int = 0
    read: int = 0
    written: int = 0
    reads: int = 0
    writes: int = 0
    pressure: Mapping[str, Obj] = field(default_factory=dict)


def details(cgroups: Cgroups, path: str) -> Details:
    """Zeros for what is not there."""
    relative = path.lstrip("/")
    if cgroups.unified:
        return _unified(cgroups.mount / relative)
    return _split(
        *(cgroups.mount / name / relative for name in ("cpu", "cpuacct", "memory", "blkio", "pids"))
    )


def _unified(folder: Path) -> Details:
    cpu, memory, disks = _pairs(folder / "cpu.stat"), _pairs(folder / "memory.stat"), _io(folder / "io.stat")
    quota, _, period = _word(folder / "cpu.max").partition(" ")
    return Details(
        user_ns=cpu.get("user_usec", 0) * 1000,
        system_ns=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled=cpu.get("nr_throttled", 0),
        throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        quota=_limit(quota),
        period=int(period or 100_000),
        shares=_shares(_limit(_word(folder / "cpu.weight"))),
        cache=memory.get("file", 0),
        mapped=memory.get("file_mapped", 0),
        swap=_limit(_word(folder / "memory.swap.current") or "0"),
        peak=_limit(_word(folder / "memory.peak") or "0"),
        failures=_pairs(folder / "memory.events").get("max", 0),
        limit=_limit(_word(folder / "memory.max")),
        processes=_limit(_word(folder / "pids.current") or "0"),
        pressure=pressures(folder, ".pressure"),
        **disks,
    )


def _split(cpu: Path, account: Path, memory: Path, disks: Path, pids: Path) -> Details:
    times, throttling, counters = (
        _pairs(account / "cpuacct.stat"), _pairs(cpu / "cpu.stat"), _pairs(memory / "memory.stat")
    )  # fmt: skip
    both, alone = (_limit(_word(memory / f"memory.{kind}usage_in_bytes") or "0") for kind in ("memsw.", ""))
    return Details(
        user_ns=times.get("user", 0) * _TICK,
        system_ns=times.get("system", 0) * _TICK,
        periods=throttling.get("nr_periods", 0),
        throttled=throttling.get("nr_throttled", 0),
        throttled_ns=throttling.get("throttled_time", 0),
        quota=_limit(_word(cpu / "cpu.cfs_quota_us")),
        period=_limit(_word(cpu / "cpu.cfs_period_us") or "100000"),
        shares=_limit(_word(cpu / "cpu.shares") or "0"),
        cache=counters.get("total_cache", 0),
        mapped=counters.get("total_mapped_file", 0),
        swap=max(0, both - alone),
        peak=_limit(_word(memory / "memory.max_usage_in_bytes") or "0"),
        failures=_limit(_word(memory / "memory.failcnt") or "0"),
        limit=_limit(_word(memory / "memory.limit_in_bytes")),
        processes=_limit(_word(pids / "pids.current") or "0"),
        **_blkio(disks),
    )


def pressures(folder: Path, suffix: str = "") -> dict[str, Obj]:
    """Stalls by resource, of `folder` (a group of version 2, or /proc/pressure)."""
    found = {}
    for name in ("cpu", "memory", "io"):
        if said := pressure(_word(folder / f"{name}{suffix}")):
            found[name] = said
    return found


def pressure(text: str) -> Obj:
    """`some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and the same for `full`. Pure."""
    found: Obj = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        averages = {name: float(values[name]) for name in ("avg10", "avg60", "avg300")}
        found[kind] = {"total": int(values["total"]) * 1000, **averages}
    return found


def _io(path: Path) -> dict[str, Any]:
    """`8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...` a line per disk."""
    names = {"rbytes": "read", "wbytes": "written", "rios": "reads", "wios": "writes"}
    totals = dict.fromkeys(names.values(), 0)
    for pair in (pair for line in _word(path).splitlines() for pair in line.split()[1:]):
        name, _, value = pair.partition("=")
        if name in names:
            totals[names[name]] += int(value)
    return totals


def _blkio(folder: Path) -> dict[str, Any]:
    """`8:0 Read 4096` a line per disk and direction."""
    totals: dict[str, int] = {}
    for file, names in (("service_bytes", ("read", "written")), ("serviced", ("reads", "writes"))):
        directions = dict(zip(("Read", "Write"), names, strict=True))
        for line in _word(folder / f"blkio.throttle.io_{file}_recursive").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in directions:
                name = directions[words[1]]
                totals[name] = totals.get(name, 0) + int(words[2])
    return totals


def _shares(weight: int) -> int:
    """Of version 1, as runc converts them."""
    return 2 + (weight - 1) * 262142 // 9999 if weight > 0 else 0


def _limit(text: str) -> int:
    number = int(text) if text.lstrip("-").isdigit() else -1
    return -1 if number >= _UNLIMITED else number


def _word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _pairs(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _word(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
