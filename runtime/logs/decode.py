"""CRI records back to what the container wrote. Pure."""

from __future__ import annotations

import io

from podium.runtime.logs.cri import HEAD, STAMP

_END = STAMP - 1  # where the Z of the time stamp stands


class Decoder:
    """Feed it blocks of whole records. A block in which every record is a full line that is wanted, the
    ordinary case, is cut by column; only other blocks are looked at record by record. A record that is not
    in the format is skipped."""

    def __init__(self, *, timestamps: bool = False, since: bytes = b"", stream: str = "") -> None:
        self._timestamps = timestamps
        self._since = since
        self._stream = stream.encode()
        self._unwanted = {"stdout": b"Z stderr ", "stderr": b"Z stdout "}.get(stream, b"")
        self._line_begins = True

    def feed(self, block: bytes) -> bytes:
        """The output in `block`, which ends with a newline or is empty."""
        if self._since and block[block.rfind(b"\n", 0, -1) + 1 :][:STAMP] < self._since:
            return b""  # records are in the order of time
        lines = list(io.BytesIO(block))
        if not self._plain(block, len(lines)):
            return b"".join([self._record(record) for record in lines])
        if self._timestamps:
            return b"".join([line[: STAMP + 1] + line[HEAD:] for line in lines])
        return b"".join([line[HEAD:] for line in lines])

    def _plain(self, block: bytes, lines: int) -> bool:
        """Whether each line of the block has the head of a full record. Counting cannot be fooled in
        practice: a line without a head would need another line with two, at the very same time."""
        if not self._line_begins or (self._since and block[:STAMP] < self._since):
            return False
        full = block.count(b"Z stdout F ")
        if full < lines:
            full += block.count(b"Z stderr F ")
        if full == 0 or full != lines:
            return False
        return not (self._unwanted and self._unwanted in block)

    def _record(self, record: bytes) -> bytes:
        """One record's output, with its newline unless the line goes on in the next record."""
        when, _, rest = record.partition(b" ")
        stream, _, rest = rest.partition(b" ")
        tag, separator, content = rest.partition(b" ")
        if not separator or when[_END:] != b"Z" or stream not in (b"stdout", b"stderr"):
            return b""
        begins, partial = self._line_begins, tag.split(b":", 1)[0] == b"P"
        if when < self._since or (self._stream and stream != self._stream):
            return b""
        self._line_begins = not partial
        if partial:
            content = content.removesuffix(b"\n")
        return when + b" " + content if self._timestamps and begins else content


def tail_offset(block: bytes, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of `block` begin, and how many of them the block has. A line is a full
    record with the partial ones before it. `block` consists of whole records; one that ends in a partial
    record has that as its last line.

    Returns offset 0 with the number found when the block has no more than that."""
    if lines <= 0:
        return len(block), 0
    found = 0
    position = len(block)
    if block and _is_partial(block, block.rfind(b"\n", 0, len(block) - 1) + 1):
        found = 1
    while position > 0:
        start = block.rfind(b"\n", 0, position - 1) + 1
        if not _is_partial(block, start):
            if found == lines:
                return position, found
            found += 1
        position = start
    return 0, found


def _is_partial(block: bytes, start: int) -> bool:
    return block[start + HEAD - 2 : start + HEAD - 1] == b"P"
