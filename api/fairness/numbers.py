"""What is counted of the flows, by priority level and flow schema, as Prometheus shall read it.

Source: Kubernetes Metrics Reference, v1.36, apiserver_flowcontrol_*."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from podium.api.metrics.exposition import Family

if TYPE_CHECKING:
    from podium.api.fairness.level import Level

BOUNDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)  # seconds
_TEXTS = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
BY = ("priority_level", "flow_schema")
NAME = "apiserver_flowcontrol_"


class Durations:
    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def shown(self) -> tuple[list[tuple[str, float]], float]:
        return list(zip(_TEXTS, accumulate(self.buckets), strict=True)), self.seconds


class Numbers:
    """Of one schema's requests at one level."""

    __slots__ = ("dispatched", "executing", "rejected", "seats", "served", "waited", "waiting")

    def __init__(self) -> None:
        self.dispatched = self.executing = self.seats = self.waiting = 0
        self.rejected: Counter[str] = Counter()
        self.waited = Durations()
        self.served = Durations()


def families(all: Mapping[tuple[str, str], Numbers], levels: Iterable[Level]) -> Iterator[Family]:
    known = sorted(all.items())
    for name, text, field in (
        ("current_executing_requests", "Requests being served.", "executing"),
        ("current_executing_seats", "Seats taken by requests being served.", "seats"),
        ("current_inqueue_requests", "Requests that wait in a queue.", "waiting"),
    ):
        yield Family(
            NAME + name, "gauge", text, BY, [(labels, getattr(each, field)) for labels, each in known]
        )
    yield Family(
        NAME + "dispatched_requests_total", "counter", "Requests that were served.", BY,
        [(labels, each.dispatched) for labels, each in known],
    )  # fmt: skip
    yield Family(
        NAME + "rejected_requests_total", "counter", "Requests that were sent away.", (*BY, "reason"),
        [((*labels, why), count) for labels, each in known for why, count in sorted(each.rejected.items())],
    )  # fmt: skip
    yield Family(
        NAME + "request_wait_duration_seconds", "histogram", "How long requests waited in a queue.",
        (*BY, "execute"),
        [((*labels, "true"), each.waited.shown()) for labels, each in known if any(each.waited.buckets)],
    )  # fmt: skip
    yield Family(
        NAME + "request_execution_seconds", "histogram", "How long requests were served.", BY,
        [(labels, each.served.shown()) for labels, each in known if any(each.served.buckets)],
    )  # fmt: skip
    yield from _limits(levels)


def _limits(levels: Iterable[Level]) -> Iterator[Family]:
    limited = sorted((each.name, each.limits) for each in levels if each.limits is not None)
    for name, text, field in (
        ("nominal_limit_seats", "Seats that are a priority level's own.", "nominal"),
        ("lower_limit_seats", "Seats that it lends nobody.", "lower"),
        ("upper_limit_seats", "Seats that it can have with borrowed ones.", "upper"),
    ):
        series = [((level,), getattr(limits, field)) for level, limits in limited]
        yield Family(NAME + name, "gauge", text, BY[:1], series)
