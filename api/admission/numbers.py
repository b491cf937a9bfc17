"""What is counted of admission. Source: Kubernetes Metrics Reference, v1.36."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from podium.api.metrics.durations import Durations, Taken
from podium.api.metrics.exposition import Family

BOUNDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5)
WEBHOOK_BOUNDS = (*BOUNDS, 10.0, 25.0)
_WHAT = ("name", "operation", "rejected", "type")
ADMIT, VALIDATE, VALIDATING = "admit", "validate", "validating"
# Why a webhook's word kept a request from going on.
REFUSED, FAILED = "no_error", "calling_webhook_error"


class Steps:
    """How long one plugin took for requests that it let pass and for those that it refused, by
    operation."""

    def __init__(self, durations: Durations, name: str, kind: str) -> None:
        self._durations, self._name, self._kind = durations, name, kind
        self._passed: dict[str, Taken] = {}

    def passed(self, operation: str, seconds: float, times: int) -> None:
        taken = self._passed.get(operation)
        if taken is None:
            taken = self._passed[operation] = self._of(operation, "false")
        taken.add(seconds, times)

    def refused(self, operation: str, seconds: float) -> None:
        self._of(operation, "true").add(seconds)

    def _of(self, operation: str, rejected: str) -> Taken:
        return self._durations.of(self._name, operation, rejected, self._kind)


class Numbers:
    """Of one server."""

    def __init__(self) -> None:
        self._plugins = Durations(
            "apiserver_admission_controller_admission_duration_seconds",
            "How long the plugins took, by name and operation.", _WHAT, BOUNDS,
        )  # fmt: skip
        self._webhooks = Durations(
            "apiserver_admission_webhook_admission_duration_seconds",
            "How long webhooks took, by name and operation.", _WHAT, WEBHOOK_BOUNDS,
        )  # fmt: skip
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._rejections: Counter[tuple[str, ...]] = Counter()
        self._failed_open: Counter[tuple[str, ...]] = Counter()

    def plugin(self, name: str, kind: str) -> Steps:
        return Steps(self._plugins, name, kind)

    def webhook(self, name: str, operation: str, kind: str, seconds: float, code: int, why: str = "") -> None:
        """A webhook was asked. `code` is its answer's, 0 for none; `why` it kept the request from going on,
        "" when it did not."""
        rejected = "true" if why else "false"
        self._webhooks.of(name, operation, rejected, kind).add(seconds)
        self._requests[str(code), name, operation, rejected, kind] += 1
        if why:
            self._rejections[why, name, operation, str(code if why == REFUSED else 0), kind] += 1

    def failed_open(self, name: str, kind: str) -> None:
        """A webhook failed, and the request went on without it."""
        self._failed_open[name, kind] += 1

    def families(self) -> Iterator[Family]:
        yield self._plugins.family()
        yield self._webhooks.family()
        yield Family(
            "apiserver_admission_webhook_request_total", "counter", "What webhooks were asked.",
            ("code", "name", "operation", "rejected", "type"), sorted(self._requests.items()),
        )  # fmt: skip
        yield Family(
            "apiserver_admission_webhook_rejection_count", "counter", "Requests that webhooks ended.",
            ("error_type", "name", "operation", "rejection_code", "type"), sorted(self._rejections.items()),
        )  # fmt: skip
        yield Family(
            "apiserver_admission_webhook_fail_open_count", "counter",
            "Webhooks that failed and were gone on without.", ("name", "type"),
            sorted(self._failed_open.items()),
        )  # fmt: skip
