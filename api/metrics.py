"""A few numbers about the server, in Prometheus' text format."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator

from podium.api.kinds import Kinds
from podium.api.store.base import Store


class Metrics:
    def __init__(self) -> None:
        self._served: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[int] = Counter()

    def served(self, verb: str, plural: str) -> None:
        self._served[verb, plural] += 1

    def failed(self, code: int) -> None:
        self._failed[code] += 1

    def render(self, store: Store, kinds: Kinds) -> str:
        return "\n".join(self._lines(store, kinds)) + "\n"

    def _lines(self, store: Store, kinds: Kinds) -> Iterator[str]:
        yield "# HELP podium_api_requests_total Requests on resources that were answered without an error."
        yield "# TYPE podium_api_requests_total counter"
        for (verb, plural), count in sorted(self._served.items()):
            yield f'podium_api_requests_total{{verb="{verb}",resource="{plural}"}} {count}'
        yield "# HELP podium_api_errors_total Requests that were answered with an error, by its code."
        yield "# TYPE podium_api_errors_total counter"
        for code, count in sorted(self._failed.items()):
            yield f'podium_api_errors_total{{code="{code}"}} {count}'
        yield "# HELP podium_api_objects Objects in the store."
        yield "# TYPE podium_api_objects gauge"
        for (group, version), by_plural in kinds.versions.items():
            for plural, kind in by_plural.items():
                if kind.conversion is None and (count := store.count(kind.prefix)):
                    labels = f'group="{group}",version="{version}",resource="{plural}"'
                    yield f"podium_api_objects{{{labels}}} {count}"
        yield "# HELP podium_store_revision The newest revision."
        yield "# TYPE podium_store_revision gauge"
        yield f"podium_store_revision {store.revision}"
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield "# TYPE process_cpu_seconds_total counter"
        yield f"process_cpu_seconds_total {usage.ru_utime + usage.ru_stime:.3f}"
