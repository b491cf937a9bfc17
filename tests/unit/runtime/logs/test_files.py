"""Log files on a real disk: rotation, housekeeping, reading across files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from podium.runtime.logs.cri import Encoder, stamp
from podium.runtime.logs.file import LogFile, LogLimits, container_log_path, rotated_files, tidy
from podium.runtime.logs.options import LogOptions
from podium.runtime.logs.reader import read_logs

LIMITS = LogLimits(max_size=1000, max_files=4)


def lines(start: int, end: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(start, end))


def write(log: LogFile, data: bytes) -> None:
    """As the container's records, each line appended by itself."""
    encoder = Encoder("stdout")
    for line in data.splitlines(keepends=True):
        log.append(encoder.encode(line, stamp(10**18)))
    log.append(encoder.flush(stamp(10**18)))


async def read(path: Path, options: LogOptions, ended: asyncio.Event | None = None) -> bytes:
    return b"".join([piece async for piece in read_logs(str(path), options, ended)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c" / "0.log"


def test_the_path_is_the_kubelets() -> None:
    pod = {"metadata": {"namespace": "ns", "name": "p", "uid": "u"}}
    assert container_log_path("/var/log/pods", pod, "c", 2) == "/var/log/pods/ns_p_u/c/2.log"


def test_a_full_file_is_rotated_and_the_current_one_keeps_its_name(path: Path) -> None:
    log = LogFile(str(path), LIMITS)
    write(log, lines(0, 60))
    assert path.stat().st_size <= LIMITS.max_size
    rotated = rotated_files(str(path))
    assert rotated == sorted(rotated)
    assert all(os.path.getsize(name) <= LIMITS.max_size for name in rotated)
    assert len(rotated) == log.rotations > 1


def test_housekeeping_keeps_the_newest_files_and_compresses_all_but_one(path: Path) -> None:
    write(LogFile(str(path), LIMITS), lines(0, 200))
    before = rotated_files(str(path))
    tidy(str(path), LIMITS)
    kept = rotated_files(str(path))
    assert kept == [before[-3] + ".gz", before[-2] + ".gz", before[-1]]


def test_few_files_are_never_pruned(path: Path) -> None:
    write(LogFile(str(path), LIMITS), lines(0, 25))
    tidy(str(path), LogLimits(max_size=1000, max_files=50))
    assert len(rotated_files(str(path))) == 1


def test_a_record_cut_off_by_a_crash_does_not_swallow_the_next(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"2026-01-01T00:00")
    write(LogFile(str(path), LIMITS), b"whole\n")
    assert path.read_bytes().split(b"\n")[1].endswith(b"whole")


def test_what_the_disk_refused_is_written_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(str(path), LIMITS)
    real, calls = os.write, []

    def full_at_first(fd: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:3])

    monkeypatch.setattr(os, "write", full_at_first)
    with pytest.raises(OSError, match="No space"):
        log.append(b"abcdef\n")
    log.append(b"ghi\n")
    assert path.read_bytes() == b"abcdef\nghi\n"


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_dump_reads_all_files_in_order(path: Path, compressed: bool) -> None:
    write(LogFile(str(path), LogLimits(1000, 99)), lines(0, 200))
    if compressed:
        tidy(str(path), LogLimits(1000, 99))
    assert await read(path, LogOptions()) == lines(0, 200)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5, 60, 199, 200, 500])
async def test_the_tail_reaches_back_across_rotated_files(path: Path, count: int, compressed: bool) -> None:
    write(LogFile(str(path), LogLimits(1000, 99)), lines(0, 200))
    if compressed:
        tidy(str(path), LogLimits(1000, 99))
    assert await read(path, LogOptions(tail=count)) == lines(max(200 - count, 0), 200)


async def test_a_long_tail_reads_several_windows(path: Path) -> None:
    write(LogFile(str(path), LogLimits()), lines(0, 5000))
    assert await read(path, LogOptions(tail=4000)) == lines(1000, 5000)


async def test_the_limit_cuts_in_the_middle_of_a_line(path: Path) -> None:
    write(LogFile(str(path), LIMITS), lines(0, 3))
    assert await read(path, LogOptions(limit=9)) == b"line 0\nli"


async def test_a_log_that_is_not_there_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError):
        await read(path, LogOptions())


async def take(pieces: AsyncIterator[bytes], size: int) -> bytes:
    got = b""
    async for piece in pieces:
        got += piece
        if len(got) >= size:
            break
    return got


async def test_following_goes_on_across_rotations_until_the_container_is_gone(path: Path) -> None:
    log, ended = LogFile(str(path), LogLimits(1000, 99)), asyncio.Event()
    write(log, lines(0, 3))
    pieces = read_logs(str(path), LogOptions(follow=True), ended)
    async with asyncio.timeout(20), aclosing(pieces):
        assert await take(pieces, len(lines(0, 3))) == lines(0, 3)
        write(log, lines(3, 4))
        assert await take(pieces, 1) == lines(3, 4)
        write(log, lines(4, 100))
        tidy(str(path), LogLimits(1000, 99))
        ended.set()
        assert await take(pieces, 10**9) == lines(4, 100)


async def test_following_a_container_that_is_gone_ends_at_once(path: Path) -> None:
    write(LogFile(str(path), LIMITS), lines(0, 3))
    ended = asyncio.Event()
    ended.set()
    async with asyncio.timeout(20):
        assert await read(path, LogOptions(follow=True, tail=1), ended) == lines(2, 3)
