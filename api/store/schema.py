"""The log's file: its pragmas, its tables, and how an older file becomes a newer one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podium.api.types.errors import internal

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # The log is synced at every commit: nothing is acknowledged before it is durable.
    "PRAGMA synchronous=FULL",
    # Checkpoints are made beside the writes, never in one.
    "PRAGMA wal_autocheckpoint=0",
    # What a burst has made of the log is given back when the log begins anew.
    f"PRAGMA journal_size_limit={16 << 20}",
    "PRAGMA temp_store=MEMORY",
)

COMPACTED = "compacted"
SWEPT = "swept"


def connect(path: Path, cache_kib: int = 2048) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in (*PRAGMAS, f"PRAGMA cache_size=-{cache_kib}"):
        connection.execute(pragma)
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file to the newest schema, in one transaction per step. Raises StatusError for a file from
    the future."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise internal(
            f"the store has schema {version}, of a newer release; known are up to {len(MIGRATIONS)}"
        )
    if version == len(MIGRATIONS):
        return
    # As large as all else that opening a file takes.
    from sqlite_utils import Database

    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(Database(connection))
            connection.execute(f"PRAGMA user_version={number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _first(database: Any) -> None:
    """The log. `previous` is the revision that a row supersedes, 0 for a new key: compaction and replay find
    a row's predecessor by it, so the log needs no second index. The value comes last, so that what looks at
    the other columns reads no overflow pages. In meta: history is complete after `compacted`; superseded rows
    are gone up to `swept`."""
    database["log"].create(
        {"revision": int, "previous": int, "deleted": int, "key": str, "value": bytes},
        pk="revision",
        not_null={"previous", "deleted", "key", "value"},
    )
    database["meta"].create({"name": str, "value": int}, pk="name", not_null={"value"})
    database["meta"].insert_all([{"name": COMPACTED, "value": 0}, {"name": SWEPT, "value": 0}])


MIGRATIONS: tuple[Callable[[Any], None], ...] = (_first,)
