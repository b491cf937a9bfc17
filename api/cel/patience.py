"""Expressions that take long are evaluated in a thread: the event loop gives each piece of work a few
milliseconds, and where those do not do, the work starts over beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Result = TypeVar("Result")
# What work may cost on the event loop: some 5 ms.
QUICK = 20_000
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


class Lengthy(Exception):
    """The work is not for the event loop. No EvaluationError: nobody is told of it."""


async def patiently(work: Callable[[], Result]) -> Result:
    """What `work` gives. It may be called twice, so it has to be without effects, and the second time in a
    thread, so nothing that it reads may change meanwhile."""
    try:
        with _hurried():
            return work()
    except Lengthy:
        return await asyncio.to_thread(work)


@contextmanager
def _hurried() -> Iterator[None]:
    token = _left.set([QUICK])
    try:
        yield
    finally:
        _left.reset(token)


def allowed(limit: int) -> int:
    """What an evaluation may cost here and now."""
    left = _left.get()
    return limit if left is None else min(limit, left[0])


def spent(cost: int) -> None:
    """Raises Lengthy."""
    left = _left.get()
    if left is not None:
        left[0] -= cost
        if left[0] < 0:
            raise Lengthy
