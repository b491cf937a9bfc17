"""The frame that all netlink messages share (include/uapi/linux/netlink.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Length, type, flags, sequence number, port.
HEADER = struct.Struct("=IHHII")
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
ERROR, DONE = 2, 3


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence number, payload) of each netlink message in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, number, _ = HEADER.unpack_from(data, offset)
        yield kind, flags, number, data[offset + HEADER.size : offset + length]
        offset += -(-length // 4) * 4


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(type without flags, payload) of each netlink attribute from `offset` on."""
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += -(-length // 4) * 4
