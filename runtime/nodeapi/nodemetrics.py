"""/metrics and /metrics/probes: about the daemon itself. Pure, given what was counted.

Names: Kubernetes Metrics Reference, v1.36."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.client.meters import Durations, RequestMeter
from podium.runtime.containerd.meter import CallMeter
from podium.runtime.interfaces import PodView
from podium.runtime.meters import NodeMeters
from podium.runtime.nodeapi.exposition import Sample, family, histogram, labelled, text


class Process(NamedTuple):
    """The daemon's own: sizes in bytes, times in seconds, `started` since the epoch."""

    cpu: float
    resident: int
    virtual: int
    started: float
    open_files: int
    most_files: int


class Counted(NamedTuple):
    node_name: str
    version: str
    views: Sequence[PodView]
    meters: NodeMeters
    calls: CallMeter
    requests: RequestMeter | None
    process: Process
    volumes: Mapping[str, Sequence[Obj]]
    """What pods' volumes hold, by `namespace` of the pod; as the Summary tells it."""


def metrics(of: Counted) -> str:
    return text(
        family(
            "kubelet_node_name",
            "gauge",
            "The node's name. The count is always 1.",
            [Sample(labelled(node=of.node_name), 1)],
        ),
        family(
            "kubernetes_build_info",
            "gauge",
            "A metric with a constant '1' value labeled by version.",
            [Sample(labelled(git_version=of.version, platform="linux"), 1)],
        ),
        *_pods(of.views),
        histogram(
            "kubelet_pod_start_duration_seconds",
            "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
            [("", of.meters.pod_start)],
        ),
        histogram(
            "kubelet_pod_worker_start_duration_seconds",
            "Duration in seconds from kubelet seeing a pod to starting a worker.",
            [("", of.meters.worker_start)],
        ),
        histogram(
            "kubelet_pod_worker_duration_seconds",
            "Duration in seconds to sync a single pod. Broken down "
            "by operation type: create, update, or sync",
            _by("operation_type", of.meters.looks),
        ),
        *_runtime(of.calls),
        family(
            "kubelet_evictions",
            "counter",
            "Cumulative number of pod evictions by eviction signal",
            [Sample(labelled(eviction_signal=name), count) for name, count in of.meters.evictions.items()],
        ),
        *_volumes(of.volumes),
        *(_requests(of.requests) if of.requests else ()),
        *_process(of.process),
    )


def probe_metrics(meters: NodeMeters) -> str:
    samples = [
        Sample(
            labelled(
                container=each.container,
                namespace=each.namespace,
                pod=each.pod,
                pod_uid=each.uid,
                probe_type=each.kind.capitalize(),
                result=each.result,
            ),
            count,
        )
        for each, count in meters.probes.items()
    ]
    about = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    return text(family("prober_probe_total", "counter", about, samples))


def _by(label: str, durations: Mapping[str, Durations]) -> list[tuple[str, Durations]]:
    return [(labelled(**{label: name}), each) for name, each in sorted(durations.items())]


def _pods(views: Sequence[PodView]) -> Iterator[list[str]]:
    newest = [attempts[-1].state for view in views for attempts in view.containers.values() if attempts]
    states = Counter(newest)
    running = [view for view in views if any(a[-1].state == "running" for a in view.containers.values() if a)]
    desired: Counter[str] = Counter(
        "true" if (view.pod["metadata"].get("annotations") or {}).get("kubernetes.io/config.mirror") else ""
        for view in views
    )
    yield family(
        "kubelet_running_pods",
        "gauge",
        "Number of pods that have a running pod sandbox",
        [Sample("", len(running))],
    )
    yield family(
        "kubelet_running_containers",
        "gauge",
        "Number of containers currently running",
        [Sample(labelled(container_state=name), states[name]) for name in sorted({*states, "running"})],
    )
    yield family(
        "kubelet_desired_pods",
        "gauge",
        "The number of pods the kubelet is being instructed to run. "
        "static is true if the pod is not from the apiserver.",
        [Sample(labelled(static=name or "false"), count) for name, count in desired.items()],
    )


def _runtime(calls: CallMeter) -> Iterator[list[str]]:
    yield family(
        "kubelet_runtime_operations_total",
        "counter",
        "Cumulative number of runtime operations by operation type.",
        [
            Sample(labelled(operation_type=name), each.cumulated()[-1][1])
            for name, each in sorted(calls.durations.items())
        ],
    )
    yield family(
        "kubelet_runtime_operations_errors_total",
        "counter",
        "Cumulative number of runtime operation errors by operation type.",
        [Sample(labelled(operation_type=name), count) for name, count in sorted(calls.errors.items())],
    )
    yield histogram(
        "kubelet_runtime_operations_duration_seconds",
        "Duration in seconds of runtime operations. Broken down by operation type.",
        _by("operation_type", calls.durations),
    )


_VOLUMES = (
    ("available_bytes", "Number of available bytes in the volume", "availableBytes"),
    ("capacity_bytes", "Capacity in bytes of the volume", "capacityBytes"),
    ("inodes", "Maximum number of inodes in the volume", "inodes"),
    ("inodes_free", "Number of free inodes in the volume", "inodesFree"),
    ("inodes_used", "Number of used inodes in the volume", "inodesUsed"),
    ("used_bytes", "Number of used bytes in the volume", "usedBytes"),
)


def _volumes(volumes: Mapping[str, Sequence[Obj]]) -> Iterator[list[str]]:
    """Of claims; one that several pods here use is told once."""
    claims = {
        (claim.get("namespace", namespace), claim["name"]): volume
        for namespace, found in volumes.items()
        for volume in found
        if (claim := volume.get("pvcRef"))
    }
    for name, about, key in _VOLUMES:
        samples = [
            Sample(labelled(namespace=namespace, persistentvolumeclaim=claim), volume[key])
            for (namespace, claim), volume in sorted(claims.items())
            if key in volume
        ]
        yield family(f"kubelet_volume_stats_{name}", "gauge", about, samples)


def _requests(requests: RequestMeter) -> Iterator[list[str]]:
    yield family(
        "rest_client_requests_total",
        "counter",
        "Number of HTTP requests, partitioned by status code, method, and host.",
        [
            Sample(labelled(code=code, host=host, method=method), count)
            for (code, method, host), count in sorted(requests.counts.items())
        ],
    )
    yield histogram(
        "rest_client_request_duration_seconds",
        "Request latency in seconds. Broken down by verb, and host.",
        [(labelled(host=host, verb=verb), each) for (verb, host), each in sorted(requests.durations.items())],
    )


def _process(process: Process) -> Iterator[list[str]]:
    for name, kind, about, value in (
        ("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", process.cpu),
        ("max_fds", "gauge", "Maximum number of open file descriptors.", process.most_files),
        ("open_fds", "gauge", "Number of open file descriptors.", process.open_files),
        ("resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.resident),
        (
            "start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            process.started,
        ),
        ("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", process.virtual),
    ):
        yield family(f"process_{name}", kind, about, [Sample("", value)])
