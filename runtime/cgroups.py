"""The cgroup tree of pods, on cgroup v1 and v2: ROOT/kubepods[/burstable|/besteffort]/podUID/CONTAINER.

Containers' own groups are runc's; this keeps the ones above them, and reads what they counted. Everything in
here is plain files: quick, but call it in threads.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path

from podium.api.types import Obj
from podium.runtime.oci.resources import PERIOD, pod_resources, qos_class, weight

log = logging.getLogger(__name__)

_V1_HIERARCHIES = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "devices",
    "freezer",
    "hugetlb",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "systemd",
    "unified",
)
_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


class Cgroups:
    """`root` is a path below the hierarchies' mount points, "" for their top. `shared`: the machine is not
    this node's alone."""

    def __init__(self, root: str = "", *, mount: Path = Path("/sys/fs/cgroup")) -> None:
        self.mount = mount
        self.unified = (mount / "cgroup.controllers").exists()
        self._top = "/" + "/".join(part for part in (*root.split("/"), "kubepods") if part)
        self.shared = bool(root.strip("/"))

    @property
    def top(self) -> str:
        """The group that all pods are in."""
        return self._top

    def pod(self, pod: Obj) -> str:
        """The pod's group as runc's `cgroupsPath` wants it."""
        tier = {"Guaranteed": "", "Burstable": "/burstable", "BestEffort": "/besteffort"}[qos_class(pod)]
        return f"{self._top}{tier}/pod{pod['metadata']['uid']}"

    def container(self, pod: Obj, container_id: str) -> str:
        return f"{self.pod(pod)}/{container_id}"

    def ensure(self, pod: Obj) -> None:
        """Makes the pod's group with the limits of the pod as a whole."""
        path, wanted = self.pod(pod), pod_resources(pod)
        if self.unified:
            self._ensure_unified(path, wanted)
            return
        for controller in ("cpu", "memory"):
            folder = self.mount / controller / path.lstrip("/")
            if (self.mount / controller).is_dir():
                folder.mkdir(parents=True, exist_ok=True)
        cpu, memory = (self.mount / each / path.lstrip("/") for each in ("cpu", "memory"))
        _write(cpu / "cpu.shares", wanted["shares"])
        if "quota" in wanted:
            _write(cpu / "cpu.cfs_quota_us", wanted["quota"])
        if "memory" in wanted:
            _write(memory / "memory.limit_in_bytes", wanted["memory"])

    def _ensure_unified(self, path: str, wanted: Obj) -> None:
        folder = self.mount
        for part in path.strip("/").split("/"):
            available = (folder / "cgroup.controllers").read_text().split()
            enabled = " ".join(f"+{each}" for each in _V2_CONTROLLERS if each in available)
            _write(folder / "cgroup.subtree_control", enabled)
            folder = folder / part
            folder.mkdir(exist_ok=True)
        _write(folder / "cpu.weight", weight(wanted["shares"]))
        if "quota" in wanted:
            _write(folder / "cpu.max", f"{wanted['quota']} {PERIOD}")
        if "memory" in wanted:
            _write(folder / "memory.max", wanted["memory"])

    def remove(self, uid: str) -> None:
        """Removes the groups of a pod whose processes are gone, wherever it was in the tree. Idempotent."""
        for hierarchy in self._hierarchies():
            for tier in ("", "burstable", "besteffort"):
                folder = hierarchy / self._top.lstrip("/") / tier / f"pod{uid}"
                if folder.is_dir():
                    _remove_tree(folder)

    def clear(self) -> None:
        """Removes the whole tree, its root too if nobody else has anything in it. Idempotent."""
        for hierarchy in self._hierarchies():
            folder = hierarchy / self._top.lstrip("/")
            if folder.is_dir():
                _remove_tree(folder)
            for parent in folder.relative_to(hierarchy).parents[:-1]:
                with contextlib.suppress(OSError):
                    (hierarchy / parent).rmdir()

    def processes(self) -> set[int]:
        """The pids of everything that runs in the tree."""
        found: set[int] = set()
        for hierarchy in self._hierarchies():
            for inner, _, _ in os.walk(hierarchy / self._top.lstrip("/")):
                with contextlib.suppress(OSError):
                    found.update(map(int, (Path(inner) / "cgroup.procs").read_text().split()))
        return found

    def _hierarchies(self) -> list[Path]:
        return [self.mount] if self.unified else [self.mount / each for each in _V1_HIERARCHIES]

    def oom_kills(self, path: str) -> int:
        """How many processes of a group the kernel has killed for want of memory."""
        relative = path.lstrip("/")
        name = "memory.events" if self.unified else "memory.oom_control"
        folder = self.mount / relative if self.unified else self.mount / "memory" / relative
        try:
            lines = (folder / name).read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _write(path: Path, value: object) -> None:
    """Limits are set as far as this machine can: a controller that is missing or not delegated is not the
    pod's fault."""
    try:
        path.write_text(str(value))
    except OSError as error:
        level = logging.DEBUG if error.errno in (errno.ENOENT, errno.EBUSY, errno.EROFS) else logging.WARNING
        log.log(level, "cannot write %s to %s: %s", value, path, error)


def _remove_tree(folder: Path) -> None:
    for inner, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(inner)
        except OSError as error:
            log.debug("cannot remove cgroup %s: %s", inner, error)
