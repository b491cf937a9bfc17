"""Answers that are all there at once: head and body in one write, and so in one TLS record.

uvicorn's way of sending takes a head apart and writes it by itself; for an answer of some kilobytes that
costs more than making it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]
# What a scope has one by. Who looks at what is sent takes it out.
WHOLE = "podium.whole"

# Larger bodies do not fit into one TLS record, and are not worth copying.
MAX_WHOLE = 14 << 10
# Heads that are remembered: most answers have one of a handful.
HEADS = 512
# Longer parts of an answer are not copied to be sent with what frames them.
MAX_COPIED = 16 << 10
_PLAIN_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
# What these say, the connection has to know of.
_OF_THE_CONNECTION = frozenset({b"connection", b"transfer-encoding", b"content-length"})


class Straight:
    """The way to the connection that a request came by, past uvicorn's. Both methods say whether they have
    sent it; when not, it has to go the usual way."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def answer(self, code: int, headers: Sequence[Header], body: bytes) -> bool:
        """`headers` are without the length."""
        cycle = self._cycle
        usual = not cycle.keep_alive or cycle.flow.write_paused or cycle.scope["method"] == "HEAD"
        if usual or cycle.response_started or len(body) > MAX_WHOLE or code in (204, 304):
            return False
        head = _head(code, (*cycle.default_headers, *headers))
        if head is None:
            return False
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        if not cycle.disconnected:
            cycle.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
            cycle.response_complete = True
            cycle.message_event.set()
            cycle.on_response()
        return True

    def part(self, part: bytes) -> bool:
        """One of an answer that has begun, and whose length nobody knows."""
        cycle = self._cycle
        if not part or not cycle.chunked_encoding or cycle.flow.write_paused or cycle.response_complete:
            return False
        if cycle.disconnected or cycle.scope["method"] == "HEAD":
            return False
        if len(part) > MAX_COPIED:
            cycle.transport.writelines([b"%x\r\n" % len(part), part, b"\r\n"])
        else:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(part), part))
        return True


@lru_cache(HEADS)
def _head(code: int, headers: tuple[Header, ...]) -> bytes | None:
    """Up to the length; None for what is not to be sent this way."""
    for name, value in headers:
        if (
            name.lower() in _OF_THE_CONNECTION
            or not _PLAIN_NAME.fullmatch(name)
            or not _PLAIN_VALUE.fullmatch(value)
        ):
            return None
    return STATUS_LINE[code] + b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers)
