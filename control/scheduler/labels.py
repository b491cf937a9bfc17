"""Labels that can be a key: pods made from one template share one object."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache


class Labels(dict[str, str]):
    """Read-only by convention, hashable, and compared like any dict."""

    __slots__ = ("_hash",)

    def __init__(self, pairs: Mapping[str, str] | tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(pairs)
        self._hash = hash(frozenset(self.items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return self._hash


@lru_cache(maxsize=8192)
def _shared(pairs: tuple[tuple[str, str], ...]) -> Labels:
    return Labels(pairs)


def labels_of(meta: Mapping[str, object]) -> Labels:
    """The labels in an object's metadata."""
    found = meta.get("labels")
    return _shared(tuple(found.items())) if isinstance(found, Mapping) else NONE


NONE = Labels()
