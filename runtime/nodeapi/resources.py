"""/metrics/resource: what the metrics API is made of. Pure, given what was read.

Names: Kubernetes Metrics Reference, v1.36."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podium.api.types import Obj
from podium.api.types.meta import parse_time
from podium.runtime.nodeapi.details import Details
from podium.runtime.nodeapi.exposition import Sample, family, labelled, text
from podium.runtime.nodeapi.summary import NodeUsage
from podium.runtime.nodeapi.usage import Usage

_Reading = tuple[str, Usage, Details | None]
_Value = Callable[[Usage, Details | None], float | str | None]


def resource_metrics(node: NodeUsage) -> str:
    readings: dict[str, list[_Reading]] = {
        "node": [("", node.usage, node.details)],
        "pod": [(_pod_labels(pod.pod), pod.usage, pod.details) for pod in node.pods if pod.usage],
        "container": [
            (f"{labelled(container=each.name)},{_pod_labels(pod.pod)}", each.usage, each.details)
            for pod in node.pods
            for each in pod.containers
        ],
    }
    starts = [
        Sample(f"{labelled(container=each.name)},{_pod_labels(pod.pod)}", _seconds(each.started))
        for pod in node.pods
        for each in pod.containers
        if each.started
    ]
    return text(
        *(lines for kind, found in readings.items() for lines in _of(kind, found)),
        family(
            "container_start_time_seconds",
            "gauge",
            "Start time of the container since unix epoch in seconds",
            starts,
        ),
        *(
            family(
                name,
                "gauge",
                "1 if there was an error while getting container metrics, 0 otherwise",
                [Sample("", 0)],
            )
            for name in ("resource_scrape_error", "scrape_error")
        ),
    )


def _of(kind: str, readings: list[_Reading]) -> Iterator[list[str]]:
    yield family(
        f"{kind}_cpu_usage_seconds_total",
        "counter",
        f"Cumulative cpu time consumed by the {kind} in core-seconds",
        _samples(readings, lambda usage, _: f"{usage.cpu_ns / 1e9:.6f}"),
    )
    yield family(
        f"{kind}_memory_working_set_bytes",
        "gauge",
        f"Current working set of the {kind} in bytes",
        _samples(readings, lambda usage, _: usage.working_set),
    )
    yield family(
        f"{kind}_swap_usage_bytes",
        "gauge",
        f"Current swap usage of the {kind} in bytes. Reported only on non-windows systems",
        _samples(readings, lambda _, details: details.swap if details else None),
    )


def _samples(readings: list[_Reading], value: _Value) -> Iterator[Sample]:
    for labels, usage, details in readings:
        if (found := value(usage, details)) is not None:
            yield Sample(labels, found if isinstance(found, str) else str(found), usage.at_ns // 1_000_000)


def _seconds(started: str) -> str:
    return f"{parse_time(started).timestamp():.3f}"


def _pod_labels(pod: Obj) -> str:
    meta = pod["metadata"]
    return labelled(namespace=meta["namespace"], pod=meta["name"])
