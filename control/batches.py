"""Many requests of one kind, few at first: what is refused once is refused for all, and need not be asked a
hundred times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from podium.api.types.errors import StatusError

T = TypeVar("T")
FIRST = 1


async def slow_start(
    items: Sequence[T], do: Callable[[T], Awaitable[StatusError | None]]
) -> tuple[int, StatusError | None]:
    """Does `do` for 1, 2, 4, ... of `items` at once, until one fails. Returns how many succeeded, and the
    first failure."""
    done, batch = 0, FIRST
    while done < len(items):
        results = await asyncio.gather(*(do(item) for item in items[done : done + batch]))
        failures = [result for result in results if result is not None]
        if failures:
            return done + len(results) - len(failures), failures[0]
        done += len(results)
        batch *= 2
    return done, None
