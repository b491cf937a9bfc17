"""Where pods' control groups are, and what is written there. Pure.

With the driver `cgroupfs` groups are folders: ROOT/kubepods/burstable/podUID/CONTAINER. With `systemd` they
are slices and scopes, whose names say where they are:
kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-CONTAINER.scope.

Source: systemd.slice(5), cgroups(7), the kernel's admin-guide/cgroup-v2; KEP-2254 for pods on cgroup v2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from podium.api.types import Obj
from podium.runtime.oci.resources import MAX_SHARES, MIN_SHARES, PERIOD, qos_class
from podium.runtime.slices import Property

Driver = Literal["cgroupfs", "systemd"]

KUBEPODS = "kubepods"
TIERS: Mapping[str, tuple[str, ...]] = {
    "Guaranteed": (),
    "Burstable": ("burstable",),
    "BestEffort": ("besteffort",),
}
_SCOPE = "cri-containerd"
_INFINITY = (1 << 64) - 1


class Names:
    """The names of one node's groups. `root` is where its tree begins, "" for the top."""

    def __init__(self, root: str, driver: Driver) -> None:
        self._driver = driver
        self._root = tuple(part for part in root.split("/") if part)

    @property
    def top(self) -> str:
        return self._path((KUBEPODS,))

    def tier(self, quality: str) -> str:
        return self._path((KUBEPODS, *TIERS[quality]))

    def pod(self, pod: Obj) -> str:
        return self.of_uid(pod["metadata"]["uid"], qos_class(pod))

    def of_uid(self, uid: str, quality: str) -> str:
        return self._path((KUBEPODS, *TIERS[quality], f"pod{uid}"))

    def container(self, pod: Obj, container_id: str) -> str:
        leaf = f"{_SCOPE}-{container_id}.scope" if self._driver == "systemd" else container_id
        return f"{self.pod(pod)}/{leaf}"

    def for_runc(self, pod: Obj, container_id: str) -> str:
        """The container's group as a runtime spec's `cgroupsPath`."""
        if self._driver == "cgroupfs":
            return self.container(pod, container_id)
        return f"{self.pod(pod).rpartition('/')[2]}:{_SCOPE}:{container_id}"

    def _path(self, parts: Sequence[str]) -> str:
        whole = (*self._root, *parts)
        if self._driver == "cgroupfs":
            return "/" + "/".join(whole)
        # A dash is what leads from one slice to the next: it cannot be in a name.
        names = [part.removesuffix(".slice").replace("-", "_") for part in whole]
        slices = ["-".join(names[: count + 1]) + ".slice" for count in range(len(names))]
        return "/" + "/".join(slices)


def weight(cpu_shares: int) -> int:
    """cgroup v2's cpu.weight for v1's cpu.shares, so that least, default and most meet: 2 and 1, 1024 and
    100, 262144 and 10000."""
    if cpu_shares <= MIN_SHARES:
        return 1
    if cpu_shares >= MAX_SHARES:
        return 10_000
    log = math.log2(cpu_shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def files_v1(wanted: Obj) -> list[tuple[str, str, str]]:
    """(controller, file, value) of what a group is to have: `shares`, `quota`, `memory` in bytes, `pids`,
    `huge` pages by size."""
    made = []
    if "shares" in wanted:
        made.append(("cpu", "cpu.shares", str(wanted["shares"])))
    if "quota" in wanted:
        made.append(("cpu", "cpu.cfs_quota_us", str(wanted["quota"])))
    if "memory" in wanted:
        made.append(("memory", "memory.limit_in_bytes", str(wanted["memory"])))
    if "pids" in wanted:
        made.append(("pids", "pids.max", str(wanted["pids"])))
    for size, limit in (wanted.get("huge") or {}).items():
        made.append(("hugetlb", f"hugetlb.{size}.limit_in_bytes", str(limit)))
    return made


def files_v2(wanted: Obj) -> list[tuple[str, str]]:
    """(file, value) for the same."""
    made = []
    if "shares" in wanted:
        made.append(("cpu.weight", str(weight(wanted["shares"]))))
    if "quota" in wanted:
        made.append(("cpu.max", f"{wanted['quota'] if wanted['quota'] > 0 else 'max'} {PERIOD}"))
    if "memory" in wanted:
        made.append(("memory.max", str(wanted["memory"])))
    if "pids" in wanted:
        made.append(("pids.max", str(wanted["pids"])))
    for size, limit in (wanted.get("huge") or {}).items():
        made.append((f"hugetlb.{size}.max", str(limit)))
    return made


def properties(wanted: Obj, *, unified: bool) -> list[Property]:
    """The same as properties of a systemd slice, which would otherwise put its own values in their place."""
    made = []
    if "shares" in wanted:
        shares = int(wanted["shares"])
        name, amount = ("CPUWeight", weight(shares)) if unified else ("CPUShares", shares)
        made.append(_number(name, amount))
    if "quota" in wanted:
        # systemd keeps it per second, and rounds what it writes to steps of 10 ms of that.
        per_second = math.ceil(wanted["quota"] * 1_000_000 / PERIOD / 10_000) * 10_000
        made.append(_number("CPUQuotaPerSecUSec", per_second if wanted["quota"] > 0 else _INFINITY))
    if "memory" in wanted:
        made.append(_number("MemoryMax" if unified else "MemoryLimit", wanted["memory"]))
    if "pids" in wanted:
        made.append(_number("TasksMax", wanted["pids"]))
    return made


def _number(name: str, value: int) -> Property:
    return Property(name, "t", str(value))
