"""The controllers' numbers among the server's, at /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from podium.api.metrics import Family
from podium.client.meters import Durations, QueueMeter
from podium.control.numbers import Numbers

Kind = Literal["counter", "gauge", "histogram"]
_ATTEMPT = ("result", "profile")


def families(numbers: Numbers) -> Iterator[Family]:
    yield from _queues(sorted(numbers.queues.items()))
    yield from _scheduling(numbers)


def _queues(queues: list[tuple[str, QueueMeter]]) -> Iterator[Family]:
    def each(kind: Kind, name: str, text: str, value: Callable[[QueueMeter], object]) -> Family:
        return Family(
            f"workqueue_{name}", kind, text, ("name",), [((queue,), value(meter)) for queue, meter in queues]
        )

    yield each("gauge", "depth", "Keys that wait.", lambda queue: queue.depth())
    yield each("counter", "adds_total", "Keys that were added.", lambda queue: queue.adds)
    yield each("counter", "retries_total", "Keys that failed and came back.", lambda queue: queue.retries)
    name, text = "unfinished_work_seconds", "Of what is worked on, in all."
    yield each("gauge", name, text, lambda queue: queue.unfinished()[0])
    name, text = "longest_running_processor_seconds", "Of what is worked on, the longest."
    yield each("gauge", name, text, lambda queue: queue.unfinished()[1])
    name, text = "queue_duration_seconds", "How long keys waited."
    yield each("histogram", name, text, lambda queue: _shown(queue.waited))
    name, text = "work_duration_seconds", "How long work on a key took."
    yield each("histogram", name, text, lambda queue: _shown(queue.worked))


def _scheduling(numbers: Numbers) -> Iterator[Family]:
    scheduling = numbers.scheduling
    yield Family(
        "scheduler_schedule_attempts_total", "counter", "Attempts to find a node for a pod, by result.",
        _ATTEMPT, sorted(scheduling.attempts.items()),
    )  # fmt: skip
    yield Family(
        "scheduler_scheduling_attempt_duration_seconds", "histogram", "How long deciding on a pod took.",
        _ATTEMPT, [(labels, _shown(each)) for labels, each in sorted(scheduling.durations.items())],
    )  # fmt: skip
    yield Family(
        "scheduler_pending_pods", "gauge", "Pods that wait for a node, by where they wait.", ("queue",),
        [((queue,), count) for queue, count in scheduling.pending().items()],
    )  # fmt: skip
    yield Family(
        "scheduler_preemption_attempts_total", "counter", "Attempts to make room for a pod.", (),
        [((), scheduling.preempted)],
    )  # fmt: skip


def _shown(durations: Durations) -> tuple[list[tuple[str, float]], float]:
    return durations.cumulated(), durations.total
