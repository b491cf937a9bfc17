"""/stats/summary and /metrics/resource: usage per node, pod and container. Pure, given what was read.

Shapes: k8s.io/kubelet/pkg/apis/stats/v1alpha1, and the names of the resource metrics endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from podium.api.types import Obj
from podium.api.types.meta import parse_time
from podium.runtime.nodeapi.usage import Traffic, Usage


@dataclass(frozen=True)
class ContainerUsage:
    name: str
    started: str
    usage: Usage


@dataclass(frozen=True)
class PodUsage:
    pod: Obj
    usage: Usage | None
    containers: Sequence[ContainerUsage]
    traffic: Sequence[Traffic] = field(default_factory=tuple)


@dataclass(frozen=True)
class NodeUsage:
    """`capacity` is the machine's memory in bytes."""

    name: str
    usage: Usage
    pods: Sequence[PodUsage]
    capacity: int = 0


def summary(node: NodeUsage, before: Mapping[str, Usage]) -> Obj:
    """The Summary document. `before` has earlier readings by key (`keyed`), for the rate of CPU use since."""
    stats = _stats("", node.usage, before)
    if node.capacity:
        stats["memory"]["availableBytes"] = max(node.capacity - node.usage.working_set, 0)
    return {
        "node": {"nodeName": node.name, **stats},
        "pods": [_pod(pod, before) for pod in node.pods],
    }


def keyed(node: NodeUsage) -> dict[str, Usage]:
    """Every reading by a key that stays the same from one reading to the next."""
    readings = {"": node.usage}
    for pod in node.pods:
        uid = pod.pod["metadata"]["uid"]
        if pod.usage:
            readings[uid] = pod.usage
        readings.update({f"{uid}/{each.name}": each.usage for each in pod.containers})
    return readings


def _pod(pod: PodUsage, before: Mapping[str, Usage]) -> Obj:
    meta = pod.pod["metadata"]
    document: Obj = {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": (pod.pod.get("status") or {}).get("startTime"),
        "containers": [
            {
                "name": each.name,
                "startTime": each.started,
                **_stats(f"{meta['uid']}/{each.name}", each.usage, before),
            }
            for each in pod.containers
        ],
    }
    if pod.usage:
        document.update(_stats(meta["uid"], pod.usage, before))
    if pod.traffic:
        document["network"] = _network(pod.traffic)
    return document


def _stats(key: str, usage: Usage, before: Mapping[str, Usage]) -> Obj:
    at = _time(usage.at_ns)
    cpu: Obj = {"time": at, "usageCoreNanoSeconds": usage.cpu_ns}
    earlier = before.get(key)
    if earlier and earlier.at_ns < usage.at_ns and earlier.cpu_ns <= usage.cpu_ns:
        elapsed = usage.at_ns - earlier.at_ns
        cpu["usageNanoCores"] = (usage.cpu_ns - earlier.cpu_ns) * 1_000_000_000 // elapsed
    memory = {
        "time": at,
        "usageBytes": usage.memory,
        "workingSetBytes": usage.working_set,
        "rssBytes": usage.rss,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_faults,
    }
    return {"cpu": cpu, "memory": memory}


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


def resource_metrics(node: NodeUsage) -> str:
    """The resource metrics endpoint in the Prometheus text format."""
    pods = [(_pod_labels(pod.pod), pod.usage) for pod in node.pods if pod.usage]
    containers = [
        (f'container="{each.name}",{_pod_labels(pod.pod)}', each.usage)
        for pod in node.pods
        for each in pod.containers
    ]
    lines: list[str] = []
    for kind, readings in (("node", [("", node.usage)]), ("pod", pods), ("container", containers)):
        lines += _metric(
            f"{kind}_cpu_usage_seconds_total",
            "counter",
            f"Cumulative cpu time consumed by the {kind} in core-seconds",
            [(labels, f"{usage.cpu_ns / 1e9:.6f}", usage) for labels, usage in readings],
        )
        lines += _metric(
            f"{kind}_memory_working_set_bytes",
            "gauge",
            f"Current working set of the {kind} in bytes",
            [(labels, str(usage.working_set), usage) for labels, usage in readings],
        )
    starts = [
        (
            f'container="{each.name}",{_pod_labels(pod.pod)}',
            f"{parse_time(each.started).timestamp():.3f}",
            None,
        )
        for pod in node.pods
        for each in pod.containers
        if each.started
    ]
    about = "Start time of the container since unix epoch in seconds"
    lines += _metric("container_start_time_seconds", "gauge", about, starts)
    for name in ("resource_scrape_error", "scrape_error"):
        about = "1 if there was an error while getting container metrics, 0 otherwise"
        lines += _metric(name, "gauge", about, [("", "0", None)])
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, about: str, samples: Iterable[tuple[str, str, Usage | None]]) -> list[str]:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value, usage in samples:
        at = f" {usage.at_ns // 1_000_000}" if usage else ""
        lines.append(f"{name}{'{' + labels + '}' if labels else ''} {value}{at}")
    return lines


def _pod_labels(pod: Obj) -> str:
    meta = pod["metadata"]
    return f'namespace="{meta["namespace"]}",pod="{meta["name"]}"'
