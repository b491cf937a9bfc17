"""Records: what containers write, encoded and read back."""

from __future__ import annotations

import os
import random

import pytest

from podium.runtime.logs.cri import MAX_RECORD, Encoder, stamp
from podium.runtime.logs.decode import Decoder, tail_offset

AT = stamp(1_767_225_600_000_000_001)


def record(line: bytes, tag: bytes = b"F", stream: bytes = b"stdout", at: bytes = AT) -> bytes:
    return at + b" " + stream + b" " + tag + b" " + line + b"\n"


def test_a_stamp_has_nanoseconds_in_nine_digits() -> None:
    assert AT == b"2026-01-01T00:00:00.000000001Z"


def test_each_line_becomes_one_full_record() -> None:
    assert Encoder("stderr").encode(b"a\n\nb\n", AT) == b"".join(
        record(line, stream=b"stderr") for line in (b"a", b"", b"b")
    )


def test_a_line_that_comes_in_two_chunks_is_one_record() -> None:
    encoder = Encoder("stdout")
    assert encoder.encode(b"hel", AT) == b""
    assert encoder.unfinished
    assert encoder.encode(b"lo\n", AT) == record(b"hello")
    assert not encoder.unfinished


def test_what_no_newline_ended_is_a_partial_record() -> None:
    encoder = Encoder("stdout")
    encoder.encode(b"prompt> ", AT)
    assert encoder.flush(AT) == record(b"prompt> ", b"P")
    assert encoder.flush(AT) == b""


def test_a_long_line_is_cut_into_partial_records() -> None:
    line = os.urandom(MAX_RECORD * 2 + 5).replace(b"\n", b"x")
    assert Encoder("stdout").encode(line + b"\n", AT) == (
        record(line[:MAX_RECORD], b"P")
        + record(line[MAX_RECORD : 2 * MAX_RECORD], b"P")
        + record(line[2 * MAX_RECORD :])
    )


def test_a_line_of_exactly_the_limit_stays_whole() -> None:
    line = b"x" * MAX_RECORD
    assert Encoder("stdout").encode(line + b"\n", AT) == record(line)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_written_is_read_back_as_it_was(seed: int) -> None:
    chance = random.Random(seed)
    lines = [b"x" * chance.choice([0, 1, 80, 5000, MAX_RECORD, MAX_RECORD + 1, 40_000]) for _ in range(40)]
    data = b"\n".join(lines) + chance.choice([b"", b"\n"])
    encoder = Encoder("stdout")
    records, start = b"", 0
    while start < len(data):
        size = chance.choice([1, 100, 4096, 32_768, 65_536])
        records += encoder.encode(data[start : start + size], AT)
        start += size
    records += encoder.flush(AT)
    assert Decoder().feed(records) == data
    assert max(map(len, records.split(b"\n"))) <= MAX_RECORD + len(record(b""))


def test_time_stamps_stand_at_the_beginning_of_lines_only() -> None:
    block = record(b"long ", b"P") + record(b"line") + record(b"next")
    assert Decoder(timestamps=True).feed(block) == AT + b" long line\n" + AT + b" next\n"


def test_full_blocks_get_time_stamps_too() -> None:
    assert Decoder(timestamps=True).feed(record(b"a") + record(b"b")) == AT + b" a\n" + AT + b" b\n"


def test_records_before_the_wanted_time_are_left_out() -> None:
    early, late = stamp(10**9), stamp(2 * 10**9)
    block = record(b"old", at=early) + record(b"new", at=late)
    assert Decoder(since=late).feed(block) == b"new\n"
    assert Decoder(since=stamp(3 * 10**9)).feed(block) == b""
    assert Decoder(since=early).feed(block) == b"old\nnew\n"


def test_one_stream_can_be_picked() -> None:
    block = record(b"out") + record(b"err", stream=b"stderr")
    assert Decoder(stream="stderr").feed(block) == b"err\n"
    assert Decoder(stream="stdout").feed(block) == b"out\n"
    assert Decoder(stream="stdout").feed(record(b"out")) == b"out\n"


def test_what_is_not_a_record_is_skipped() -> None:
    assert Decoder().feed(record(b"a") + b"garbage\n" + b"\n" + record(b"b")) == b"a\nb\n"


def test_content_that_looks_like_a_record_is_content() -> None:
    line = AT + b" stdout F inner"
    assert Decoder().feed(record(line) + record(b"b")) == line + b"\nb\n"


def test_the_tail_counts_lines_not_records() -> None:
    block = record(b"a") + record(b"b", b"P") + record(b"c") + record(b"d")
    offset, found = tail_offset(block, 2)
    assert (Decoder().feed(block[offset:]), found) == (b"bc\nd\n", 2)
    assert tail_offset(block, 0) == (len(block), 0)
    assert tail_offset(block, 9) == (0, 3)
    assert tail_offset(b"", 3) == (0, 0)


def test_an_unfinished_last_line_counts_as_a_line() -> None:
    block = record(b"a") + record(b"b", b"P")
    offset, found = tail_offset(block, 1)
    assert (Decoder().feed(block[offset:]), found) == (b"b", 1)
