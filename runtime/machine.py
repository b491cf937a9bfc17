"""What this machine is and has, and what this process may do with it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podium.runtime.archive import architecture
from podium.runtime.oci.security import names_of


@dataclass(frozen=True, slots=True)
class Machine:
    """Read once at the start. `oom_floor` is the lowest oom_score_adj that this process may give its
    children; `huge_pages` is memory that is only to be had in them, by their resource's name."""

    cpus: int
    memory: int
    capabilities: frozenset[str]
    oom_floor: int
    architecture: str = field(default_factory=architecture)
    kernel: str = field(default_factory=platform.release)
    machine_id: str = ""
    boot_id: str = ""
    os_image: str = ""
    swap: int = 0
    huge_pages: Mapping[str, int] = field(default_factory=dict)


def read() -> Machine:
    """Reads /proc and /etc."""
    status = _fields(Path("/proc/self/status"))
    capabilities = names_of(int(status.get("CapEff", "0"), 16))
    memory = _fields(Path("/proc/meminfo"))
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory=_kilobytes(memory.get("MemTotal", "0 kB")),
        swap=_kilobytes(memory.get("SwapTotal", "0 kB")),
        capabilities=capabilities,
        # Without the capability a score can only be raised: children start from this process' own.
        oom_floor=-1000 if "SYS_RESOURCE" in capabilities else int(_text("/proc/self/oom_score_adj") or 0),
        machine_id=_text("/etc/machine-id") or _text("/proc/sys/kernel/random/boot_id").replace("-", ""),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        os_image=_os_name(),
        huge_pages=_huge_pages(),
    )


def _huge_pages(root: Path = Path("/sys/kernel/mm/hugepages")) -> dict[str, int]:
    found = {}
    for folder in root.iterdir() if root.is_dir() else ():
        size = int(folder.name.removeprefix("hugepages-").removesuffix("kB"))
        name = f"{size >> 20}Gi" if size >= 1 << 20 else f"{size >> 10}Mi" if size >= 1 << 10 else f"{size}Ki"
        count = int((folder / "nr_hugepages").read_text())
        found[f"hugepages-{name}"] = count * size * 1024
    return dict(sorted(found.items()))


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _fields(path: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _os_name() -> str:
    for line in _text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"')
    return "Linux"


def system_uuid() -> str:
    return _text("/sys/class/dmi/id/product_uuid")
