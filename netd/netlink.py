"""The frame that all netlink messages share (include/uapi/linux/netlink.h)."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator

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


async def listen(
    protocol: int, groups: int, heard: Callable[[int, bytes], None], missed: Callable[[], None]
) -> None:
    """Until cancelled: `heard(type, payload)` is called on the loop for each message to the multicast groups
    (a bit mask), `missed()` when there were too many to be kept."""
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_NETLINK, kind, protocol) as kernel:
        kernel.bind((0, groups))
        loop.add_reader(kernel, _readable, kernel, heard, missed)
        try:
            await loop.create_future()
        finally:
            loop.remove_reader(kernel)


def _readable(kernel: socket.socket, heard: Callable[[int, bytes], None], missed: Callable[[], None]) -> None:
    try:
        data = kernel.recv(1 << 16)
    except BlockingIOError:
        return  # taken already
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        missed()
        return
    for kind, _, _, payload in split(data):
        heard(kind, payload)
