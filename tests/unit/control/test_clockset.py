"""Being told that the clock was set. Nobody sets it here: a pipe stands for the kernel's timer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from podium.control import clockset
from podium.control.clockset import ClockWatch


async def test_listeners_are_told_each_time_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)

    @contextlib.contextmanager
    def timer() -> Iterator[int]:
        yield reading

    def cancelled(descriptor: int, size: int) -> bytes:
        os.read(descriptor, 1)
        raise OSError(errno.ECANCELED, "the clock was set")

    monkeypatch.setattr(clockset, "_timer", timer)
    monkeypatch.setattr(clockset, "os", SimpleNamespace(read=cancelled))
    told: asyncio.Queue[None] = asyncio.Queue()
    task = asyncio.create_task(ClockWatch(lambda: told.put_nowait(None)).run())
    try:
        for _ in range(2):
            os.write(writing, b"!")
            await asyncio.wait_for(told.get(), 5)
        assert told.empty()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(reading)
        os.close(writing)


def test_a_timer_says_nothing_while_the_clock_runs_on() -> None:
    with clockset._timer() as descriptor:
        assert not clockset._cancelled(descriptor)


async def test_where_there_is_no_timer_the_loop_just_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def none() -> Iterator[int]:
        raise AttributeError("timerfd_create")
        yield 0

    monkeypatch.setattr(clockset, "_timer", none)
    task = asyncio.create_task(ClockWatch(lambda: None).run())
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
