from __future__ import annotations

import asyncio

import pytest

from podium.client.workqueue import QueueClosed, WorkQueue, backoff

from ..clock import FakeClock, settle


async def test_a_key_added_many_times_is_handed_out_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_it_is_worked_on_comes_back_after_done_only() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    assert not queue.idle
    queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_of_several_delays_for_a_key_the_earliest_counts() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    queue.add_after("a", 10)
    queue.add_after("a", 2)
    queue.add_after("a", 5)
    clock.advance(1.9)
    assert len(queue) == 0
    clock.advance(0.2)
    assert len(queue) == 1
    await queue.get()
    queue.done("a")
    clock.advance(20)
    assert len(queue) == 0


async def test_retries_wait_twice_as_long_each_time_until_forgotten() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    waits = []
    for _ in range(4):
        queue.add_rate_limited("a")
        waits.append(round(clock.pending[0], 6))
        clock.advance(waits[-1])
        queue.done(await queue.get())
    assert waits == [0.005, 0.01, 0.02, 0.04]
    assert queue.retries("a") == 4
    queue.forget("a")
    queue.add_rate_limited("a")
    assert round(clock.pending[0], 6) == 0.005


def test_backoff_is_capped_however_many_failures() -> None:
    assert backoff(30) == 1000.0
    assert backoff(10_000) == 1000.0


async def test_a_cancelled_waiter_does_not_swallow_the_wake_up_of_another() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await settle()
    queue.add("a")
    first.cancel()
    assert await second == "a"


async def test_closing_hands_out_what_waits_and_then_ends_every_worker() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.close()
    queue.add("b")
    assert await queue.get() == "a"
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_closing_wakes_workers_that_wait() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.ensure_future(queue.get())
    await settle()
    queue.close()
    with pytest.raises(QueueClosed):
        await waiting


async def test_a_key_that_fails_comes_back_and_keeps_no_other_waiting() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    did: list[str] = []
    failures: list[str] = []

    async def do(key: str) -> None:
        did.append(key)
        if did == ["a"]:
            raise KeyError(key)

    queue.add("a")
    queue.add("b")
    working = asyncio.ensure_future(queue.work(do, lambda key, error: failures.append(f"{key} {error!r}")))
    await settle()
    assert (did, failures) == (["a", "b"], ["a KeyError('a')"])
    clock.advance(1)
    await settle()
    assert did == ["a", "b", "a"]
    queue.close()
    await working
