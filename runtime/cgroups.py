"""The cgroup tree of pods, on cgroup v1 and v2: kubepods, a group for each class of pods below it, a group
per pod (`cgroupnames` says where).

Containers' own groups are runc's; this keeps the ones above them, and reads what they counted. Everything in
here is plain files: quick, but call it in threads.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
from pathlib import Path

from podium.api.types import Obj
from podium.runtime import shimprocesses, slices
from podium.runtime.cgroupnames import TIERS, Driver, Names, files_v1, files_v2, properties
from podium.runtime.config import NodeConfig
from podium.runtime.oci.resources import MIN_SHARES, PERIOD, pod_resources, shares

log = logging.getLogger(__name__)

END_WAITS = 1.0
"""Seconds that a process that was killed may take."""

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
_OURS = ("cpu", "cpuacct", "memory", "pids", "hugetlb")
_HUGE_PAGES = Path("/sys/kernel/mm/hugepages")


class Cgroups:
    """`root` is a path below the hierarchies' mount points, "" for their top. `shared`: the machine is not
    this node's alone. `max_pids` is how many processes a pod may have, None for any number."""

    def __init__(
        self,
        root: str = "",
        *,
        mount: Path = Path("/sys/fs/cgroup"),
        driver: Driver = "cgroupfs",
        max_pids: int | None = None,
    ) -> None:
        self.mount = mount
        self.driver: Driver = driver
        self.unified = (mount / "cgroup.controllers").exists()
        self.names = Names(root, driver)
        self.shared = bool(root.strip("/"))
        self._max_pids = max_pids

    @property
    def top(self) -> str:
        """The group that all pods are in."""
        return self.names.top

    def pod(self, pod: Obj) -> str:
        """The pod's group, below a hierarchy's mount point."""
        return self.names.pod(pod)

    def container(self, pod: Obj, container_id: str) -> str:
        return self.names.container(pod, container_id)

    # What is written

    def ensure(self, pod: Obj) -> None:
        """Makes the pod's group with the limits of the pod as a whole."""
        wanted = pod_resources(pod)
        if self._max_pids is not None:
            wanted["pids"] = self._max_pids
        if "huge" in wanted or self.page_sizes:
            wanted["huge"] = {**dict.fromkeys(self.page_sizes, 0), **wanted.get("huge", {})}
        self._put(self.pod(pod), wanted)

    def enforce(self, allocatable: Obj) -> None:
        """Holds all pods together to what the node gives them: `cpu` in thousandths, `memory` in bytes and,
        if told, `pids`. Raises OSError when the kernel refuses one of them."""
        wanted: Obj = {"shares": shares(allocatable["cpu"]), "memory": allocatable["memory"]}
        if "pids" in allocatable:
            wanted["pids"] = allocatable["pids"]
        if refused := self._put(self.top, wanted):
            raise refused[0]

    def balance(self, burstable: int) -> None:
        """Shares the cpu out between the classes of pods: `burstable` is what pods of that class ask for in
        all, in thousandths."""
        self._put(self.names.tier("Burstable"), {"shares": shares(burstable)})
        self._put(self.names.tier("BestEffort"), {"shares": MIN_SHARES})

    def _put(self, path: str, wanted: Obj) -> list[OSError]:
        """What the kernel refused."""
        if self.driver == "systemd":
            self._tell_systemd(path, wanted)
        self._make(path)
        errors = [_write(file, value) for file, value in self._files(path, wanted)]
        return [error for error in errors if error is not None]

    def _tell_systemd(self, path: str, wanted: Obj) -> None:
        slices.put(path.rpartition("/")[2], properties(wanted, unified=self.unified))

    def change(self, pod: Obj, wanted: Obj) -> None:
        """Sets some of the pod's limits: `shares`, `quota`, `memory`. Raises OSError when the kernel
        refuses."""
        path = self.pod(pod)
        for file, value in self._files(path, wanted):
            file.write_text(value)
        if self.driver == "systemd":
            self._tell_systemd(path, wanted)

    def _files(self, path: str, wanted: Obj) -> list[tuple[Path, str]]:
        relative = path.lstrip("/")
        if self.unified:
            return [(self.mount / relative / name, value) for name, value in files_v2(wanted)]
        return [
            (self.mount / controller / relative / name, value)
            for controller, name, value in files_v1(wanted)
            if (self.mount / controller).is_dir()
        ]

    def _make(self, path: str) -> None:
        if not self.unified:
            for controller in _OURS:
                if (self.mount / controller).is_dir():
                    (self.mount / controller / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
            return
        folder = self.mount
        for part in path.strip("/").split("/"):
            available = (folder / "cgroup.controllers").read_text().split()
            enabled = " ".join(f"+{each}" for each in _V2_CONTROLLERS if each in available)
            _write(folder / "cgroup.subtree_control", enabled)
            folder = folder / part
            folder.mkdir(exist_ok=True)

    # What is there

    def limits(self, pod: Obj) -> Obj:
        """The pod's `quota` and `memory` in force; -1 where there is no limit. Raises OSError."""
        relative = self.pod(pod).lstrip("/")
        if self.unified:
            return self._limits_v2(self.mount / relative)
        cpu, memory = self.mount / "cpu" / relative, self.mount / "memory" / relative
        limit = int((memory / "memory.limit_in_bytes").read_text())
        return {
            "quota": int((cpu / "cpu.cfs_quota_us").read_text()),
            # Nothing is limited to the largest multiple of a page that fits.
            "memory": -1 if limit >= 1 << 62 else limit,
        }

    def _limits_v2(self, folder: Path) -> Obj:
        quota, period = (folder / "cpu.max").read_text().split()
        limit = (folder / "memory.max").read_text().strip()
        return {
            "quota": -1 if quota == "max" else int(quota) * PERIOD // int(period),
            "memory": -1 if limit == "max" else int(limit),
        }

    def memory_used(self, path: str) -> int:
        """In bytes, with what could be dropped. Raises OSError."""
        relative = path.lstrip("/")
        if self.unified:
            return int((self.mount / relative / "memory.current").read_text())
        return int((self.mount / "memory" / relative / "memory.usage_in_bytes").read_text())

    @property
    def page_sizes(self) -> tuple[str, ...]:
        """The sizes of huge pages that groups can be held to, as files name them: `2MB`."""
        controllers = self.mount / "cgroup.controllers"
        there = "hugetlb" in controllers.read_text() if self.unified else (self.mount / "hugetlb").is_dir()
        if not there or not _HUGE_PAGES.is_dir():
            return ()
        return tuple(sorted(_size_name(folder.name) for folder in _HUGE_PAGES.iterdir()))

    # What goes

    def remove(self, uid: str) -> None:
        """Removes the groups of a pod that has ended, wherever it was in the tree, and what is left in them.
        Idempotent."""
        for quality in TIERS:
            self._remove(self.names.of_uid(uid, quality))

    def _remove(self, path: str) -> None:
        folders = [hierarchy / path.lstrip("/") for hierarchy in self._hierarchies()]
        if self.driver == "systemd" and any(folder.is_dir() for folder in folders):
            slices.stop(path.rpartition("/")[2])
        there = [folder for folder in folders if folder.is_dir()]
        for folder in there:
            _remove_tree(folder)
        if there and there[-1].is_dir() and _end_processes(there[-1]):
            for folder in there:
                _remove_tree(folder)

    def clear(self) -> None:
        """Removes the whole tree, its root too if nobody else has anything in it. Idempotent."""
        self._remove(self.top)
        for hierarchy in self._hierarchies():
            folder = hierarchy / self.top.lstrip("/")
            for parent in folder.relative_to(hierarchy).parents[:-1]:
                with contextlib.suppress(OSError):
                    (hierarchy / parent).rmdir()

    def processes(self) -> set[int]:
        """The pids of everything that runs in the tree."""
        found: set[int] = set()
        for hierarchy in self._hierarchies():
            for inner, _, _ in os.walk(hierarchy / self.top.lstrip("/")):
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


def group_tree(config: NodeConfig) -> Cgroups:
    """The groups that a node's pods are in. With the driver `auto` systemd's where it runs the machine: two
    who write to the same tree undo one another's work."""
    driver: Driver = "systemd" if config.cgroup_driver == "systemd" else "cgroupfs"
    if config.cgroup_driver == "auto" and Path("/run/systemd/system").is_dir():
        driver = "systemd"
    return Cgroups(config.cgroup_root, driver=driver, max_pids=config.max_pids)


def _size_name(folder: str) -> str:
    """`hugepages-2048kB` as `2MB`."""
    size = int(folder.removeprefix("hugepages-").removesuffix("kB"))
    return f"{size >> 20}GB" if size >= 1 << 20 else f"{size >> 10}MB" if size >= 1 << 10 else f"{size}KB"


def _write(path: Path, value: object) -> OSError | None:
    """Limits are set as far as this machine can: a controller that is missing or not delegated is not the
    pod's fault, and no refusal."""
    try:
        path.write_text(str(value))
    except OSError as error:
        level = logging.DEBUG if error.errno in (errno.ENOENT, errno.EBUSY, errno.EROFS) else logging.WARNING
        log.log(level, "cannot write %s to %s: %s", value, path, error)
        return None if error.errno in (errno.ENOENT, errno.EROFS) else error
    return None


def _end_processes(folder: Path) -> bool:
    """Ends what is left in a group: of a container that was being made when its shim, or
    containerd, was killed, whom nobody knows any more. Whether there was something."""
    ended = False
    for inner, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            # Those of other PID namespaces are shown as 0.
            for pid in filter(None, map(int, (Path(inner) / "cgroup.procs").read_text().split())):
                ended = _end(pid) or ended
    return ended


def _end(pid: int) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    shim = shimprocesses.shim_of(pid)
    try:
        log.warning("ending process %d, which is left of a pod that is gone", pid)
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], END_WAITS)
    finally:
        os.close(process)
    if shim:
        shimprocesses.end_idle(shim)
    return True


def _remove_tree(folder: Path) -> None:
    for inner, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(inner)
        except OSError as error:
            log.debug("cannot remove cgroup %s: %s", inner, error)
