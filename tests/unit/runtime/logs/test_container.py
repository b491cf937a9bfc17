"""A container's output through real FIFOs; the test's own ends stand where the shim's would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podium.runtime import mounting
from podium.runtime.logs import FifoSet, LogLimits, LogOptions, Outputs, read_logs
from podium.runtime.logs.container import ContainerIO
from podium.runtime.logs.fifo import FifoReader, FifoWriter
from tests.unit.runtime.conftest import needs_root

STAMP = 1_767_225_600 * 10**9


class Shim:
    """Holds both ends of the output FIFOs open, as the shim does, and lets go of them when the process has
    exited."""

    def __init__(self, fifos: FifoSet) -> None:
        self.ends = {path: os.open(path, os.O_RDWR) for path in (fifos.stdout, fifos.stderr) if path}
        self.fifos = fifos

    def out(self, data: bytes) -> None:
        os.write(self.ends[self.fifos.stdout], data)

    def err(self, data: bytes) -> None:
        os.write(self.ends[self.fifos.stderr], data)

    def exit(self) -> None:
        for end in self.ends.values():
            os.close(end)
        self.ends.clear()


@pytest.fixture
def fifos(tmp_path: Path) -> FifoSet:
    made = FifoSet.within(f"{tmp_path}/io", stdin=True)
    made.make()
    return made


@pytest.fixture
def shim(fifos: FifoSet) -> Iterator[Shim]:
    shim = Shim(fifos)
    yield shim
    shim.exit()


@pytest.fixture
def log(tmp_path: Path) -> str:
    return f"{tmp_path}/log/0.log"


def raw(log: str) -> list[str]:
    return Path(log).read_text().splitlines()


def contents(log: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in raw(log)]


async def turn() -> None:
    """One turn of the event loop."""
    await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await turn()


async def test_both_streams_reach_the_log(fifos: FifoSet, shim: Shim, log: str) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log, now_ns=lambda: STAMP)
    shim.out(b"one\ntwo\n")
    shim.err(b"oops\n")
    shim.exit()
    await io.close()
    assert io.closed.is_set()
    assert all(line.startswith("2026-01-01T00:00:00.000000000Z std") for line in raw(log))
    assert sorted(contents(log)) == ["stderr F oops", "stdout F one", "stdout F two"]


async def test_an_unfinished_line_appears_although_the_container_goes_on(
    fifos: FifoSet, shim: Shim, log: str
) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    shim.out(b"name? ")
    await until(lambda: contents(log) == ["stdout P name? "])
    shim.out(b"bob\n")
    shim.exit()
    await io.close()
    assert contents(log) == ["stdout P name? ", "stdout F bob"]


async def test_a_daemon_restart_loses_nothing(fifos: FifoSet, shim: Shim, log: str) -> None:
    first = ContainerIO(fifos.stdout, fifos.stderr, log)
    shim.out(b"before\nhalf ")
    await until(lambda: contents(log) == ["stdout F before", "stdout P half "])
    await first.detach()
    shim.out(b"a line\nmeanwhile\n")
    second = ContainerIO(fifos.stdout, fifos.stderr, log)
    shim.exit()
    await second.close()
    assert contents(log) == ["stdout F before", "stdout P half ", "stdout F a line", "stdout F meanwhile"]


async def test_closing_after_an_exit_that_the_daemon_missed_does_not_wait(fifos: FifoSet, log: str) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    async with asyncio.timeout(2):
        await io.close(patience=60)


async def test_closing_does_not_wait_for_ever_for_a_process_that_holds_the_output(
    fifos: FifoSet, shim: Shim, log: str
) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    shim.out(b"last words\n")
    await io.close(patience=0.01)
    assert contents(log) == ["stdout F last words"]


async def test_an_attached_client_gets_what_is_written_from_now_on(
    fifos: FifoSet, shim: Shim, log: str
) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    tee = io.tee()
    shim.err(b"hello")
    output = await tee.read()
    assert output == ("stderr", b"hello")
    shim.exit()
    await io.close()
    assert await tee.read() is None
    assert await io.tee().read() is None


async def test_a_slow_client_makes_the_container_wait_and_loses_nothing(
    fifos: FifoSet, shim: Shim, log: str
) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    tee = io.tee()
    data = b"x" * 99 + b"\n"
    total = data * 40_000
    writing = asyncio.create_task(asyncio.to_thread(write_all, shim.ends[fifos.stdout], total))
    async with asyncio.timeout(30):
        await until(lambda: tee.full)
        assert not writing.done()
        received = 0
        while received < len(total):
            output = await tee.read()
            assert output is not None
            received += len(output.data)
        await writing
    shim.exit()
    await io.close()
    tee.close()
    pieces = [piece async for piece in read_logs(log, LogOptions())]
    assert b"".join(pieces) == total


async def test_a_client_that_leaves_lets_the_container_go_on(fifos: FifoSet, shim: Shim, log: str) -> None:
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    tee = io.tee()
    total = b"y" * 3_000_000
    writing = asyncio.create_task(asyncio.to_thread(write_all, shim.ends[fifos.stdout], total))
    async with asyncio.timeout(30):
        await until(lambda: tee.full)
        tee.close()
        await writing
    shim.exit()
    await io.close()


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def test_a_full_disk_makes_the_container_wait(
    fifos: FifoSet, shim: Shim, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.runtime.logs.disk._RETRY", 0.0)
    io = ContainerIO(fifos.stdout, fifos.stderr, log)
    real, refusals = os.write, iter([True, True])

    def full_at_first(fd: int, data: bytes) -> int:
        if fd not in shim.ends.values() and next(refusals, False):
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full_at_first)
    shim.out(b"kept\n")
    await until(lambda: contents(log) == ["stdout F kept"])
    shim.out(b"and on\n")
    shim.exit()
    await io.close()
    assert contents(log) == ["stdout F kept", "stdout F and on"]


@needs_root
async def test_a_disk_that_is_really_full_costs_no_line_once_there_is_room(
    fifos: FifoSet, shim: Shim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.runtime.logs.disk._RETRY", 0.01)
    folder = tmp_path / "log"
    folder.mkdir()
    mounting.mount("tmpfs", str(folder), "tmpfs", 0, "size=64k")
    try:
        (folder / "other").write_bytes(bytes(48 * 1024))
        log = f"{folder}/0.log"
        io = ContainerIO(fifos.stdout, fifos.stderr, log)
        lines = [f"line {number:04}" for number in range(300)]
        shim.out("".join(f"{line}\n" for line in lines).encode())
        await until(lambda: os.statvfs(folder).f_bavail == 0)
        shim.out(b"after\n")
        (folder / "other").unlink()
        shim.exit()
        await io.close()
        assert contents(log) == [f"stdout F {line}" for line in (*lines, "after")]
    finally:
        mounting.unmount(folder)


async def test_a_disk_that_was_slow_is_written_in_a_thread_in_order(
    fifos: FifoSet, shim: Shim, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.runtime.logs.disk._SLOW", -1.0)
    io = ContainerIO(fifos.stdout, fifos.stderr, log, LogLimits(max_size=2000, max_files=99))
    total = b"".join(b"%d\n" % number for number in range(30_000))
    await asyncio.to_thread(write_all, shim.ends[fifos.stdout], total)
    shim.exit()
    await io.close()
    pieces = [piece async for piece in read_logs(log, LogOptions())]
    assert b"".join(pieces) == total


async def test_outputs_open_and_close_by_container_and_can_be_asked_twice(
    fifos: FifoSet, shim: Shim, log: str
) -> None:
    outputs = Outputs()
    for _ in range(2):
        await outputs.open("id", log, stdout=fifos.stdout, stderr=fifos.stderr)
    ended = outputs.ended("id")
    assert outputs.get("id") is not None
    assert not ended.is_set()
    shim.out(b"x\n")
    shim.exit()
    await asyncio.gather(outputs.close("id"), outputs.close("id"))
    await outputs.close("id")
    assert ended.is_set()
    assert outputs.get("id") is None
    assert outputs.ended("id").is_set()
    assert contents(log) == ["stdout F x"]


async def test_outputs_let_go_when_the_daemon_stops(fifos: FifoSet, shim: Shim, log: str) -> None:
    outputs = Outputs()
    await outputs.open("id", log, stdout=fifos.stdout, stderr=fifos.stderr)
    await outputs.detach()
    assert outputs.get("id") is None
    shim.out(b"still running\n")


async def test_input_waits_for_a_reader_and_for_room(fifos: FifoSet) -> None:
    opening = asyncio.create_task(FifoWriter.open(fifos.stdin))
    await asyncio.sleep(0)
    assert not opening.done()
    received, ended = bytearray(), asyncio.Event()
    FifoReader(fifos.stdin, received.extend, ended.set)
    writer = await opening
    await writer.write(b"z" * 300_000)
    writer.close()
    await ended.wait()
    assert received == b"z" * 300_000


def test_fifos_are_removed_with_their_directory(fifos: FifoSet) -> None:
    fifos.make()
    fifos.remove()
    fifos.remove()
    assert not os.path.exists(fifos.directory)
