"""What is counted of requests, when they end, and told of those that are being served."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from time import perf_counter

from podium.api.exchange import Exchange
from podium.api.metrics.exposition import Family
from podium.api.running import CONNECTS, Running, is_long_running

# Seconds: the upper bounds of apiserver_request_duration_seconds.
BOUNDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0,
    4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
)  # fmt: skip
_BOUND_TEXTS = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
# Bytes: those of apiserver_response_sizes.
SIZES = tuple(1000 * 10**step for step in range(7))
_SIZE_TEXTS = [*(f"{bound:g}" for bound in SIZES), "+Inf"]
Labels = tuple[str, str, str, str, str, str]
NAMES = ("verb", "group", "version", "resource", "subresource", "scope")
# Paths that are told apart; those that clients make up are not: there is no end to them.
PATHS = frozenset({"/healthz", "/livez", "/readyz", "/metrics", "/version", "/api", "/apis", "/openapi/v2"})
# Verbs as the metrics name them, which is not how authorisation does.
VERBS = {"create": "POST", "update": "PUT"}


class Series:
    """The requests of the same labels: how many by code, and how long they took."""

    __slots__ = ("buckets", "bytes", "codes", "seconds", "sizes")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.sizes = [0] * (len(SIZES) + 1)
        self.bytes = 0

    def add(self, code: int, seconds: float, size: int) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1
        if size:
            self.sizes[bisect_left(SIZES, size)] += 1
            self.bytes += size
        if seconds >= 0:
            self.buckets[bisect_left(BOUNDS, seconds)] += 1
            self.seconds += seconds


class Metrics:
    """Of one server."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._series: dict[Labels, Series] = {}
        self._watched: Counter[tuple[str, ...]] = Counter()

    def served(self, exchange: Exchange) -> None:
        """However it ended. A request whose client was gone before its answer is not counted."""
        if not exchange.code:
            return
        labels = labels_of(exchange)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series()
        # How long a watch took says nothing.
        lasting = exchange.verb == "watch" or exchange.upgraded
        series.add(exchange.code, -1.0 if lasting else perf_counter() - exchange.began, exchange.size)
        if exchange.events:
            self._watched[labels[1:4]] += exchange.events

    def families(self) -> Iterator[Family]:
        series = sorted(self._series.items())
        yield Family(
            "apiserver_request_total", "counter", "Requests by verb, resource, scope and code.",
            (*NAMES, "code"),
            [((*labels, str(code)), n) for labels, one in series for code, n in sorted(one.codes.items())],
        )  # fmt: skip
        yield Family(
            "apiserver_request_duration_seconds", "histogram", "How long requests took, watches apart.",
            NAMES,
            [(labels, _histogram(one)) for labels, one in series if any(one.buckets)],
        )  # fmt: skip
        yield Family(
            "apiserver_response_sizes", "histogram", "Bytes of the answers, as far as they are known before.",
            NAMES, [(labels, _sizes(one)) for labels, one in series if one.bytes],
        )  # fmt: skip
        yield from self._now()
        yield Family(
            "apiserver_request_terminations_total", "counter",
            "Requests that were refused or cut off in self-defence.", ("code",),
            [(("429",), self._running.refused), (("504",), self._running.late)],
        )  # fmt: skip

    def _now(self) -> Iterator[Family]:
        """What is going on at this moment."""
        short: Counter[str] = Counter(mutating=0, readOnly=0)
        lasting: Counter[Labels] = Counter()
        watched = Counter(self._watched)
        for exchange in self._running.open:
            if is_long_running(exchange):
                lasting[labels_of(exchange)] += 1
                watched[labels_of(exchange)[1:4]] += exchange.events
            else:
                short["readOnly" if exchange.method in ("GET", "HEAD") else "mutating"] += 1
        yield Family(
            "apiserver_current_inflight_requests", "gauge", "Requests being served, long-running ones apart.",
            ("request_kind",), [((kind,), n) for kind, n in sorted(short.items())],
        )  # fmt: skip
        yield Family(
            "apiserver_longrunning_requests", "gauge", "Watches, followed logs, proxied requests.",
            NAMES, sorted(lasting.items()),
        )  # fmt: skip
        yield Family(
            "apiserver_watch_events_total", "counter", "Events sent in watches.",
            ("group", "version", "resource"), sorted((key, n) for key, n in watched.items() if key[2]),
        )  # fmt: skip


def labels_of(exchange: Exchange) -> Labels:
    target, verb = exchange.target, exchange.verb
    if target is None:
        path = exchange.path
        return (exchange.method, "", "", "", path if path in PATHS else "", "")
    resource, name = target.kind.resource, target.name
    scope = "resource" if name else "namespace" if target.namespace else "cluster"
    shown = VERBS.get(verb) or verb.upper()
    if exchange.upgraded or target.subresource in CONNECTS:
        shown = "CONNECT"
    # One that there is none of is a text that somebody made up.
    subresource = target.subresource if target.subresource in resource.subresources else ""
    return (shown, resource.group, resource.version, resource.plural, subresource, scope)


def _histogram(series: Series) -> tuple[list[tuple[str, float]], float]:
    """As the text shows it: how many took at most so long, and the sum."""
    return list(zip(_BOUND_TEXTS, accumulate(series.buckets), strict=True)), series.seconds


def _sizes(series: Series) -> tuple[list[tuple[str, float]], float]:
    return list(zip(_SIZE_TEXTS, accumulate(series.sizes), strict=True)), series.bytes
