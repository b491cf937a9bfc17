"""/metrics/cadvisor: containers, pods and the node as their groups' counters tell. Pure, given what was read.

Names and labels: cadvisor's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from podium.runtime.nodeapi.details import Details
from podium.runtime.nodeapi.exposition import Sample, family, labelled, text
from podium.runtime.nodeapi.usage import Traffic, Usage


class Group(NamedTuple):
    """One group. `labels` name it; `container` tells whether it is one container's. `started` is in seconds
    since the epoch, 0 when nobody knows."""

    labels: dict[str, str]
    usage: Usage
    details: Details
    container: bool = False
    started: float = 0.0
    traffic: tuple[Traffic, ...] = ()


class Machine(NamedTuple):
    cpus: int
    memory: int
    swap: int
    boot_id: str
    machine_id: str
    system_uuid: str
    kernel: str
    os_image: str


def named(identity: str, *, container: str = "", image: str = "", name: str = "", namespace: str = "",
          pod: str = "") -> dict[str, str]:  # fmt: skip
    """The labels that every sample of a group has."""
    return {
        "container": container, "id": identity, "image": image, "name": name, "namespace": namespace,
        "pod": pod,
    }  # fmt: skip


_Value = Callable[[Group], float | None]

_COUNTERS: tuple[tuple[str, str, str, _Value], ...] = (
    ("container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals.",
     lambda g: g.details.periods if g.details.quota > 0 else None),
    ("container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals.",
     lambda g: g.details.throttled if g.details.quota > 0 else None),
    ("container_cpu_cfs_throttled_seconds_total", "counter",
     "Total time duration the container has been throttled.",
     lambda g: g.details.throttled_ns / 1e9 if g.details.quota > 0 else None),
    ("container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds.",
     lambda g: g.details.system_ns / 1e9),
    ("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds.",
     lambda g: g.details.user_ns / 1e9),
    ("container_memory_cache", "gauge", "Number of bytes of page cache memory.", lambda g: g.details.cache),
    ("container_memory_failcnt", "counter", "Number of memory usage hits limits",
     lambda g: g.details.failures),
    ("container_memory_mapped_file", "gauge", "Size of memory mapped files in bytes.",
     lambda g: g.details.mapped),
    ("container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes",
     lambda g: g.details.peak),
    ("container_memory_rss", "gauge", "Size of RSS in bytes.", lambda g: g.usage.rss),
    ("container_memory_swap", "gauge", "Container swap usage in bytes.", lambda g: g.details.swap),
    ("container_memory_usage_bytes", "gauge",
     "Current memory usage in bytes, including all memory regardless of when it was accessed",
     lambda g: g.usage.memory),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
     lambda g: g.usage.working_set),
    ("container_processes", "gauge", "Number of processes running inside the container.",
     lambda g: g.details.processes),
    ("container_spec_cpu_period", "gauge", "CPU period of the container.", lambda g: g.details.period),
    ("container_spec_cpu_quota", "gauge", "CPU quota of the container.",
     lambda g: g.details.quota if g.details.quota > 0 else None),
    ("container_spec_cpu_shares", "gauge", "CPU share of the container.", lambda g: g.details.shares),
    ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.",
     lambda g: max(0, g.details.limit)),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
     lambda g: g.started or None),
    ("container_last_seen", "gauge", "Last time a container was seen by the exporter",
     lambda g: g.usage.at_ns // 10**9),
)  # fmt: skip

_DISKS: tuple[tuple[str, str, _Value], ...] = (
    ("container_fs_reads_bytes_total", "Cumulative count of bytes read", lambda g: g.details.read),
    ("container_fs_reads_total", "Cumulative count of reads completed", lambda g: g.details.reads),
    ("container_fs_writes_bytes_total", "Cumulative count of bytes written", lambda g: g.details.written),
    ("container_fs_writes_total", "Cumulative count of writes completed", lambda g: g.details.writes),
)

_TRAFFIC: tuple[tuple[str, str, str], ...] = (
    ("receive_bytes", "Cumulative count of bytes received", "received"),
    ("receive_errors", "Cumulative count of errors encountered while receiving", "receive_errors"),
    ("receive_packets", "Cumulative count of packets received", "packets_received"),
    ("receive_packets_dropped", "Cumulative count of packets dropped while receiving", "receive_drops"),
    ("transmit_bytes", "Cumulative count of bytes transmitted", "sent"),
    ("transmit_errors", "Cumulative count of errors encountered while transmitting", "send_errors"),
    ("transmit_packets", "Cumulative count of packets transmitted", "packets_sent"),
    ("transmit_packets_dropped", "Cumulative count of packets dropped while transmitting", "send_drops"),
)


def metrics(groups: list[Group], machine: Machine) -> str:
    return text(
        family(
            "cadvisor_version_info",
            "gauge",
            "A metric with a constant '1' value labeled by kernel version, "
            "OS version, docker version, cadvisor version & cadvisor revision.",
            [_versions(machine)],
        ),
        family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            [_sample(each, each.usage.cpu_ns / 1e9, cpu="total") for each in groups],
        ),
        *(family(name, kind, about, _values(groups, value)) for name, kind, about, value in _COUNTERS),
        *(family(name, "counter", about, _values(groups, value, device="")) for name, about, value in _DISKS),
        family(
            "container_memory_failures_total",
            "counter",
            "Cumulative count of memory allocation failures.",
            [each for group in groups for each in _faults(group)],
        ),
        *(_network(groups, *row) for row in _TRAFFIC),
        *_stalls(groups),
        *_machine(machine),
        family(
            "container_scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
            [Sample("", 0)],
        ),
    )


def _sample(group: Group, value: float, **more: str) -> Sample:
    return Sample(labelled(**group.labels, **more), value, group.usage.at_ns // 1_000_000)


def _values(groups: list[Group], value: _Value, **more: str) -> Iterator[Sample]:
    for group in groups:
        if (found := value(group)) is not None:
            yield _sample(group, found, **more)


def _faults(group: Group) -> Iterator[Sample]:
    for kind, count in (("pgfault", group.usage.page_faults), ("pgmajfault", group.usage.major_faults)):
        for scope in ("container", "hierarchy"):
            yield _sample(group, count, failure_type=kind, scope=scope)


def _network(groups: list[Group], name: str, about: str, attribute: str) -> list[str]:
    samples = [
        _sample(group, getattr(each, attribute), interface=each.name)
        for group in groups
        for each in group.traffic
    ]
    return family(f"container_network_{name}_total", "counter", about, samples)


def _stalls(groups: list[Group]) -> Iterator[list[str]]:
    for resource in ("cpu", "memory", "io"):
        for kind, word in (("some", "waiting"), ("full", "stalled")):
            samples = [
                _sample(group, group.details.pressure[resource][kind]["total"] / 1e9)
                for group in groups
                if kind in group.details.pressure.get(resource, {})
            ]
            about = f"Total time duration tasks in the container have been {word} for {resource}."
            yield family(f"container_pressure_{resource}_{word}_seconds_total", "counter", about, samples)


def _versions(machine: Machine) -> Sample:
    return Sample(
        labelled(
            cadvisorRevision="",
            cadvisorVersion="",
            dockerVersion="",
            kernelVersion=machine.kernel,
            osVersion=machine.os_image,
        ),
        1,
    )


def _machine(machine: Machine) -> Iterator[list[str]]:
    labels = labelled(boot_id=machine.boot_id, machine_id=machine.machine_id, system_uuid=machine.system_uuid)
    for name, about, value in (
        ("machine_cpu_cores", "Number of logical CPU cores.", machine.cpus),
        ("machine_memory_bytes", "Amount of memory installed on the machine.", machine.memory),
        ("machine_swap_bytes", "Amount of swap memory available on the machine.", machine.swap),
    ):
        yield family(name, "gauge", about, [Sample(labels, value)])
