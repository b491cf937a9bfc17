"""Where audit events go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from podium.api.audit.log import Render


class Sink(Protocol):
    """`put` never waits; `close` does, until what was put is where it belongs. Counts events."""

    @property
    def written(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    def put(self, render: Render) -> None: ...

    def close(self) -> None: ...


class Several:
    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    @property
    def written(self) -> int:
        return sum(sink.written for sink in self._sinks)

    @property
    def dropped(self) -> int:
        return sum(sink.dropped for sink in self._sinks)

    def put(self, render: Render) -> None:
        for sink in self._sinks:
            sink.put(render)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
