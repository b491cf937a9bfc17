"""Numbers as Prometheus reads them: families from whoever has some, in the text format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """The series of one name. `series` are the labels' values, each with a number; in a histogram with the
    counts below each bound, as texts and cumulated, and the sum."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Sequence[str] = ()
    series: Iterable[tuple[Sequence[str], Any]] = ()


Collect = Callable[[], Iterable[Family]]


def expose(families: Iterable[Family]) -> bytes:
    """The text, with the numbers of the process at its end."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Given(Collector):
        def collect(self) -> Iterator[Any]:
            for family in families:
                yield _metric(family)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given())
    return generate_latest(registry) + generate_latest(_process())


@cache
def _process() -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry, pid=os.getpid)
    return registry


def _metric(family: Family) -> Any:
    from prometheus_client import core

    if family.type == "histogram":
        histogram = core.HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for values, (buckets, total) in family.series:
            histogram.add_metric(values, buckets, total)
        return histogram
    made: Any = core.GaugeMetricFamily
    if family.type == "counter":
        # The library would add `_total` to the name of one that upstream calls otherwise.
        total = family.name.endswith("_total")
        made = core.CounterMetricFamily if total else core.UnknownMetricFamily
    metric = made(family.name, family.help, labels=family.labels)
    for values, number in family.series:
        if not math.isnan(number):
            metric.add_metric(values, number)
    return metric
