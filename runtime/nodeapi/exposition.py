"""The Prometheus text format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podium.client.meters import Durations


class Sample(NamedTuple):
    """One value; `at_ms` since the epoch when it was read, 0 for now. `labels` are as `labelled` writes
    them."""

    labels: str
    value: float | str
    at_ms: int = 0


def labelled(**labels: str) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> list[str]:
    """The lines of one metric. `kind` is counter or gauge."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return lines + [_line(name, each) for each in samples]


def histogram(name: str, about: str, durations: Sequence[tuple[str, Durations]]) -> list[str]:
    """The lines of a metric of seconds, by labels."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} histogram"]
    for labels, each in durations:
        before = f"{labels}," if labels else ""
        cumulated = each.cumulated()
        lines += [f'{name}_bucket{{{before}le="{bound}"}} {count:g}' for bound, count in cumulated]
        lines.append(_line(f"{name}_sum", Sample(labels, each.total)))
        lines.append(_line(f"{name}_count", Sample(labels, cumulated[-1][1])))
    return lines


def text(*families: list[str]) -> str:
    return "\n".join(line for lines in families for line in lines) + "\n"


def _line(name: str, sample: Sample) -> str:
    value = sample.value if isinstance(sample.value, str) else f"{sample.value:.12g}"
    at = f" {sample.at_ms}" if sample.at_ms else ""
    return f"{name}{'{' + sample.labels + '}' if sample.labels else ''} {value}{at}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
