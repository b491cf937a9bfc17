"""Every store, for the suite that all of them must pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from podium.api.store.base import Store
from podium.api.store.history import History
from podium.api.store.memory import MemoryStore
from podium.api.store.sqlite import SqliteStore

Maker = Callable[[Path], Store]


def _memory(folder: Path) -> Store:
    return MemoryStore(keep=0)


def _sqlite(folder: Path) -> Store:
    return SqliteStore(folder / "state.db", keep=0)


def _sqlite_with_short_memory(folder: Path) -> Store:
    """Nearly all history is read back from the file."""
    return SqliteStore(folder / "state.db", keep=0, history=History(max_events=2), decoded_bytes=100)


MAKERS: dict[str, Maker] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "sqlite-short-memory": _sqlite_with_short_memory,
}


@pytest.fixture(params=list(MAKERS))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = MAKERS[request.param](tmp_path)
    await made.start()
    yield made
    await made.close()
