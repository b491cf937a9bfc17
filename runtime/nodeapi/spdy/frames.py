"""Frames: what is on the wire. Pure. Source: SPDY protocol draft 3.1, section 2."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 0x01
MAX_PAYLOAD = 1024 * 1024
"""Clients send at most 32 KiB of data per frame."""

CANCEL, REFUSED_STREAM, PROTOCOL_ERROR = 5, 3, 1

_CONTROL = 0x80000000
_VERSION = 3


class FrameError(ValueError):
    """Not a frame of this protocol: the connection cannot go on."""


class Frame(NamedTuple):
    """`kind` is a control frame's type, 0 for data. `stream` is the stream's id, a ping's id for PING, 0
    for what concerns the connection. `payload` is what follows the stream id."""

    kind: int
    stream: int
    flags: int
    payload: bytes

    @property
    def fin(self) -> bool:
        return bool(self.flags & FIN)


def data(stream: int, payload: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(payload)) + payload


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", _CONTROL | _VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def syn_stream(stream: int, block: bytes) -> bytes:
    return control(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block)


def syn_reply(stream: int, block: bytes) -> bytes:
    return control(SYN_REPLY, struct.pack(">I", stream) + block)


def rst_stream(stream: int, reason: int) -> bytes:
    return control(RST_STREAM, struct.pack(">II", stream, reason))


def ping(number: int) -> bytes:
    return control(PING, struct.pack(">I", number))


def goaway(last: int) -> bytes:
    return control(GOAWAY, struct.pack(">II", last, 0))


class FrameParser:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises FrameError."""
        buffer = self._buffer
        buffer += received
        position = 0
        while len(buffer) - position >= 8:
            word, rest = struct.unpack_from(">II", buffer, position)
            length = rest & 0xFFFFFF
            if length > MAX_PAYLOAD:
                raise FrameError(f"frame of {length} bytes")
            end = position + 8 + length
            if len(buffer) < end:
                break
            yield _frame(word, rest >> 24, bytes(buffer[position + 8 : end]))
            position = end
        del buffer[:position]


def _frame(word: int, flags: int, payload: bytes) -> Frame:
    if not word & _CONTROL:
        return Frame(0, word, flags, payload)
    version, kind = word >> 16 & 0x7FFF, word & 0xFFFF
    if version != _VERSION:
        raise FrameError(f"SPDY version {version}")
    if kind in (SETTINGS, GOAWAY):
        return Frame(kind, 0, flags, payload)
    if len(payload) < (10 if kind == SYN_STREAM else 4):
        raise FrameError(f"short frame of type {kind}")
    (stream,) = struct.unpack_from(">I", payload)
    return Frame(kind, stream & 0x7FFFFFFF, flags, payload[10 if kind == SYN_STREAM else 4 :])
