"""/stats/summary: usage per node, pod and container. Pure, given what was read.

Shapes: k8s.io/kubelet/pkg/apis/stats/v1alpha1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from podium.api.types import Obj
from podium.runtime.nodeapi.details import Details
from podium.runtime.nodeapi.usage import FileSystem, Traffic, Usage


@dataclass(frozen=True)
class ContainerUsage:
    """`logs` and `rootfs` are (bytes, inodes); None when nobody looked."""

    name: str
    started: str
    usage: Usage
    id: str = ""
    image: str = ""
    details: Details | None = None
    logs: tuple[int, int] | None = None
    rootfs: tuple[int, int] | None = None


@dataclass(frozen=True)
class PodUsage:
    pod: Obj
    usage: Usage | None
    containers: Sequence[ContainerUsage]
    traffic: Sequence[Traffic] = field(default_factory=tuple)
    details: Details | None = None


@dataclass(frozen=True)
class NodeUsage:
    """`capacity` is the machine's memory in bytes, `swap` (free, used) of it on disk, `pids` how many there
    may be and are. `started` is when the machine was. `parts` are the node's own: pods, kubelet, runtime."""

    name: str
    usage: Usage
    pods: Sequence[PodUsage]
    capacity: int = 0
    details: Details | None = None
    started: str = ""
    traffic: Sequence[Traffic] = field(default_factory=tuple)
    fs: FileSystem | None = None
    image_fs: FileSystem | None = None
    swap: tuple[int, int] | None = None
    pids: tuple[int, int] | None = None
    parts: Mapping[str, Usage] = field(default_factory=dict)


def summary(node: NodeUsage, before: Mapping[str, Usage]) -> Obj:
    """The Summary document. `before` has earlier readings by key (`keyed`), for the rate of CPU use since."""
    at = _time(node.usage.at_ns)
    stats = _stats("", node.usage, before, node.details)
    if node.capacity:
        stats["memory"]["availableBytes"] = max(node.capacity - node.usage.working_set, 0)
    if node.started:
        stats["startTime"] = node.started
    if node.traffic:
        stats["network"] = {"time": at, **_network(node.traffic)}
    if node.fs:
        stats["fs"] = _fs(at, node.fs)
    if node.image_fs:
        stats["runtime"] = {"imageFs": _fs(at, node.image_fs), "containerFs": _fs(at, node.image_fs)}
    if node.pids:
        stats["rlimit"] = {"time": at, "maxpid": node.pids[0], "curproc": node.pids[1]}
    if node.swap:
        stats["swap"] = {"time": at, "swapAvailableBytes": node.swap[0], "swapUsageBytes": node.swap[1]}
    parts = [{"name": name, **_stats(f"/{name}", usage, before)} for name, usage in node.parts.items()]
    return {
        "node": {"nodeName": node.name, "systemContainers": parts, **stats},
        "pods": [_pod(pod, before, node.fs) for pod in node.pods],
    }


def _fs(at: str, fs: FileSystem) -> Obj:
    return {
        "time": at,
        "availableBytes": fs.available,
        "capacityBytes": fs.capacity,
        "usedBytes": fs.used,
        "inodesFree": fs.inodes_free,
        "inodes": fs.inodes,
        "inodesUsed": fs.inodes - fs.inodes_free,
    }


def _part(at: str, fs: FileSystem | None, held: tuple[int, int]) -> Obj:
    """What something has of a file system that others are on too."""
    whole = _fs(at, fs) if fs else {"time": at}
    return {**whole, "usedBytes": held[0], "inodesUsed": held[1]}


def keyed(node: NodeUsage) -> dict[str, Usage]:
    """Every reading by a key that stays the same from one reading to the next."""
    readings = {"": node.usage, **{f"/{name}": usage for name, usage in node.parts.items()}}
    for pod in node.pods:
        uid = pod.pod["metadata"]["uid"]
        if pod.usage:
            readings[uid] = pod.usage
        readings.update({f"{uid}/{each.name}": each.usage for each in pod.containers})
    return readings


def _pod(pod: PodUsage, before: Mapping[str, Usage], fs: FileSystem | None) -> Obj:
    meta = pod.pod["metadata"]
    document: Obj = {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": (pod.pod.get("status") or {}).get("startTime"),
        "containers": [_container(each, f"{meta['uid']}/{each.name}", before, fs) for each in pod.containers],
    }
    if pod.usage:
        at = _time(pod.usage.at_ns)
        document.update(_stats(meta["uid"], pod.usage, before, pod.details))
        held = [each for one in pod.containers for each in (one.logs, one.rootfs) if each is not None]
        if held:
            total = sum(each[0] for each in held), sum(each[1] for each in held)
            document["ephemeral-storage"] = _part(at, fs, total)
        if pod.details:
            document["process_stats"] = {"process_count": pod.details.processes}
        if pod.traffic:
            document["network"] = {"time": at, **_network(pod.traffic)}
    return document


def _container(each: ContainerUsage, key: str, before: Mapping[str, Usage], fs: FileSystem | None) -> Obj:
    at = _time(each.usage.at_ns)
    document = {
        "name": each.name,
        "startTime": each.started,
        **_stats(key, each.usage, before, each.details),
    }
    if each.rootfs is not None:
        document["rootfs"] = _part(at, fs, each.rootfs)
    if each.logs is not None:
        document["logs"] = _part(at, fs, each.logs)
    return document


def _stats(key: str, usage: Usage, before: Mapping[str, Usage], details: Details | None = None) -> Obj:
    at = _time(usage.at_ns)
    cpu: Obj = {"time": at, "usageCoreNanoSeconds": usage.cpu_ns}
    earlier = before.get(key)
    if earlier and earlier.at_ns < usage.at_ns and earlier.cpu_ns <= usage.cpu_ns:
        elapsed = usage.at_ns - earlier.at_ns
        cpu["usageNanoCores"] = (usage.cpu_ns - earlier.cpu_ns) * 1_000_000_000 // elapsed
    memory: Obj = {
        "time": at,
        "usageBytes": usage.memory,
        "workingSetBytes": usage.working_set,
        "rssBytes": usage.rss,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_faults,
    }
    made: Obj = {"cpu": cpu, "memory": memory}
    if details is not None:
        if details.limit >= 0:
            memory["availableBytes"] = max(0, details.limit - usage.working_set)
        made["swap"] = {"time": at, "swapUsageBytes": details.swap}
        for name, stall in details.pressure.items():
            made.setdefault(name, {"time": at})["psi"] = dict(stall)
    return made


def _network(traffic: Sequence[Traffic]) -> Obj:
    interfaces = [
        {
            "name": each.name,
            "rxBytes": each.received,
            "rxErrors": each.receive_errors,
            "txBytes": each.sent,
            "txErrors": each.send_errors,
        }
        for each in traffic
    ]
    return {**interfaces[0], "interfaces": interfaces}


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
