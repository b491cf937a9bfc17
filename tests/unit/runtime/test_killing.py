"""The end of a container, step by step."""

from __future__ import annotations

import asyncio
import signal

from podium.runtime.pods.killing import Killing


class Process:
    """What a container's process makes of signals: it ends on those in `fatal`."""

    def __init__(self, *fatal: int) -> None:
        self.ended = asyncio.Event()
        self.got: list[int] = []
        self._fatal = fatal

    async def send(self, number: int) -> bool:
        self.got.append(number)
        if number in self._fatal:
            self.ended.set()
        return True


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_process_that_listens_is_not_killed() -> None:
    process = Process(signal.SIGTERM)
    await Killing(process.send, process.ended, now() + 60).run(signal.SIGTERM, None)
    assert process.got == [signal.SIGTERM]


async def test_the_stop_signal_comes_after_the_hook() -> None:
    process = Process(signal.SIGQUIT)
    order: list[str] = []

    async def hook() -> None:
        order.append(f"hook, {len(process.got)} signals so far")

    await Killing(process.send, process.ended, now() + 60).run(signal.SIGQUIT, hook())
    assert order == ["hook, 0 signals so far"]


async def test_a_hook_ends_with_the_container() -> None:
    process = Process()
    hanging = asyncio.Event()

    async def hook() -> None:
        process.ended.set()
        await hanging.wait()

    await Killing(process.send, process.ended, now() + 60).run(signal.SIGTERM, hook())
    assert process.got == []


async def test_a_deadline_that_comes_nearer_cuts_the_hook_short() -> None:
    process = Process(signal.SIGTERM)
    begun, hanging = asyncio.Event(), asyncio.Event()

    async def hook() -> None:
        begun.set()
        await hanging.wait()

    killing = Killing(process.send, process.ended, now() + 3600)
    run = asyncio.create_task(killing.run(signal.SIGTERM, hook()))
    await begun.wait()
    killing.hasten(now() + 7200)
    assert not run.done()
    killing.hasten(now())
    await run
    assert process.got == [signal.SIGTERM]


async def test_a_process_that_does_not_listen_is_killed_when_its_grace_is_over() -> None:
    process = Process(signal.SIGKILL)
    await Killing(process.send, process.ended, now()).run(signal.SIGTERM, None)
    assert process.got == [signal.SIGTERM, signal.SIGKILL]
