"""Answers kept for those who ask the same again. What is asked about are texts that clients send, of up to
megabytes: so what is kept is bounded by its size, and not by its number alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from threading import Lock
from typing import Any, Generic, TypeVar, cast

# Characters of a text; all that is well formed is shorter.
LONGEST = 512

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[[str], Any])


def remembered(most: int) -> Callable[[Function], Function]:
    """For functions of one text: the `most` newest answers are kept, those on long texts are not."""

    def decorate(function: Function) -> Function:
        kept = lru_cache(most)(function)

        @wraps(function)
        def answer(text: str) -> Any:
            return kept(text) if len(text) <= LONGEST else function(text)

        return cast("Function", answer)

    return decorate


class Weighed(Generic[Value]):
    """Values whose size goes with that of a text: of those used last, as many as have `most` characters
    together. For several threads; two that ask for the same at once may both make it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._kept: dict[Hashable, tuple[Value, int]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, weight: int, make: Callable[[], Value]) -> Value:
        """`make` is called where nothing is kept for `key`; what it raises is not kept."""
        if (known := self.find(key)) is not None:
            return known
        value = make()
        self.keep(key, weight, value)
        return value

    def find(self, key: Hashable) -> Value | None:
        """What is kept for `key`: it has been used now."""
        with self._lock:
            known = self._kept.pop(key, None)
            if known is None:
                return None
            self._kept[key] = known
            return known[0]

    def keep(self, key: Hashable, weight: int, value: Value) -> None:
        """In place of what was kept for `key`."""
        with self._lock:
            self._held += weight - self._kept.pop(key, (None, 0))[1]
            self._kept[key] = (value, weight)
            while self._held > self._most:
                self._held -= self._kept.pop(next(iter(self._kept)))[1]

    def __len__(self) -> int:
        return len(self._kept)
