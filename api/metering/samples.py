"""What a node said it had used by some moment, and what it used between two such moments. Pure.

Source: kubernetes.io, "Node metrics data": the names of /metrics/resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_LINE = re.compile(
    r"(?P<name>(?:node|container)_(?:cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds))"
    r"(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)(?: (?P<at>\d+))?"
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# Seconds. A container that runs for less than this used nothing that could be called a rate.
YOUNG = 0.2


class Key(NamedTuple):
    """One container; all parts are "" for the node itself."""

    namespace: str = ""
    pod: str = ""
    container: str = ""


class Reading(NamedTuple):
    """`cpu` in core-seconds since `start` (seconds since the epoch; 0 where nobody said), `memory` in
    bytes, both at the moment `at`."""

    at: float
    cpu: float
    memory: float
    start: float = 0.0


class Sample(NamedTuple):
    """Everything a node said at once; `at` is when the node itself was read."""

    at: float
    readings: Mapping[Key, Reading]


class Use(NamedTuple):
    """`cpu` in cores on average over the last `window` seconds, `memory` in bytes at the moment `at`."""

    at: float
    window: float
    cpu: float
    memory: float


def parse(text: str, now: float) -> Sample:
    """A node's resource metrics in the Prometheus text format. `now` stands in for times that the node did
    not tell. Raises ValueError where a number is none."""
    found: dict[Key, dict[str, float]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        labels = dict(_LABEL.findall(match["labels"] or ""))
        key = Key(labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
        scope, _, what = match["name"].partition("_")
        values = found.setdefault(key if scope == "container" else Key(), {})
        values[what] = float(match["value"])
        if what == "cpu_usage_seconds_total":
            values["at"] = int(match["at"]) / 1000 if match["at"] else now
    readings = {
        key: Reading(
            values["at"],
            values["cpu_usage_seconds_total"],
            values["memory_working_set_bytes"],
            values.get("start_time_seconds", 0.0),
        )
        for key, values in found.items()
        if "cpu_usage_seconds_total" in values and "memory_working_set_bytes" in values
    }
    node = readings.get(Key())
    return Sample(node.at if node else now, readings)


def use(last: Reading, before: Reading | None) -> Use | None:
    """What was used up to `last`; since `before`, or since the container's start where that was later. None
    where that cannot be told."""
    if before is not None and before.at < last.at and before.cpu <= last.cpu and before.start == last.start:
        window = last.at - before.at
        return Use(last.at, window, (last.cpu - before.cpu) / window, last.memory)
    window = last.at - last.start
    if last.start and window >= YOUNG:
        return Use(last.at, window, last.cpu / window, last.memory)
    return None
