"""What is counted of a work queue."""

from __future__ import annotations

from podium.client.meters import Durations, QueueMeter
from podium.client.workqueue import WorkQueue


async def test_a_queue_tells_what_waits_what_came_and_how_long_it_took() -> None:
    meter = QueueMeter()
    queue: WorkQueue[str] = WorkQueue(meter=meter)
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert (meter.depth(), meter.adds) == (2, 2)
    key = await queue.get()
    # What is added while it is worked on waits from then on.
    queue.add(key)
    total, longest = meter.unfinished()
    assert total == longest >= 0
    queue.done(key)
    assert (meter.depth(), meter.adds, sum(meter.worked.counts)) == (2, 3, 1)
    assert meter.unfinished() == (0, 0)
    queue.add_rate_limited("c")
    assert meter.retries == 1
    queue.close()


def test_durations_are_cumulated() -> None:
    durations = Durations((0.1, 1.0))
    for each in (0.1, 0.5, 7.0):
        durations.add(each)
    assert durations.cumulated() == [("0.1", 1), ("1", 2), ("+Inf", 3)]
    assert durations.total == 7.6
