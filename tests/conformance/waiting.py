"""Waiting for what a cluster does in its own time: always bounded, with what was seen last in the failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def eventually(
    look: Callable[[], Seen], holds: Callable[[Seen], bool], timeout: float = 60, pause: float = 0.2
) -> Seen:
    """What `look` returns as soon as it `holds`. For what no watch tells of: files, sockets, processes."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {timeout} s; last seen: {seen!r}"
        time.sleep(pause)
