"""The CRI log format: `2026-01-01T00:00:00.000000000Z stdout F line`, one record per line. Pure, bytes in
and out.

The tag is F for the end of a line and P for a piece of one that goes on in the stream's next record. A line
longer than `MAX_RECORD` is cut into pieces. What was not ended by a newline when the stream ended stays a P
record, so that reading it back gives exactly what was written. Source: Kubernetes design proposal "CRI: Log
management"."""

from __future__ import annotations

import time

MAX_RECORD = 16 * 1024
"""Bytes of content in one record, as containerd and cri-o have it."""

STAMP = 30
"""Length of a time stamp as `stamp` writes it: nanoseconds in nine digits, UTC as Z."""

HEAD = STAMP + len(" stdout F ")
"""Length of what stands before the content. `stdout` and `stderr` happen to be equally long, which decoding
relies on."""


def stamp(ns: int) -> bytes:
    """A point in time (ns since the epoch) as RFC 3339 with nanoseconds."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


class Encoder:
    """Turns one stream's chunks into records. It keeps what came after the last newline (less than
    `MAX_RECORD`) until the rest of the line is there, or until `flush` is told to give up waiting."""

    def __init__(self, stream: str) -> None:
        self._full = f" {stream} F ".encode()
        self._part = f" {stream} P ".encode()
        self._rest = b""

    @property
    def unfinished(self) -> bool:
        return bool(self._rest)

    def encode(self, chunk: bytes, at: bytes) -> bytes:
        """The records of `chunk`, all stamped `at`. Works on blocks of lines, never on single ones: one
        `replace` puts the heads of some hundred lines in place at once."""
        data = self._rest + chunk if self._rest else chunk
        full, part = at + self._full, at + self._part
        between = b"\n" + full
        out: list[bytes] = []
        start = 0
        while True:
            last = len(data) - start <= MAX_RECORD
            cut = data.rfind(b"\n", start, len(data) if last else start + MAX_RECORD + 1)
            if cut >= 0:
                out += (full, data[start:cut].replace(b"\n", between), b"\n")
                start = cut + 1
            elif not last:
                out += (part, data[start : start + MAX_RECORD], b"\n")
                start += MAX_RECORD
            if last:
                break
        self._rest = data[start:]
        return b"".join(out)

    def flush(self, at: bytes) -> bytes:
        """A P record of what is still unfinished; nothing if nothing is."""
        rest, self._rest = self._rest, b""
        return b"".join((at, self._part, rest, b"\n")) if rest else b""
