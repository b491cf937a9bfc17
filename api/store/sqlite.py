"""The store on one SQLite file: the embedded default.

Three threads: the event loop decides and keeps the current state, the writer commits, and one aside reads old
revisions and copies the write-ahead log into the file (a passive checkpoint, which stops neither readers nor
the writer).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from podium.api.store.base import Compacted
from podium.api.store.codec import Codec, Plain, opened
from podium.api.store.entry import DECODED_BYTES, DecodedCache, Event
from podium.api.store.history import History
from podium.api.store.log import KEEP_SECONDS, Batch, Journal, Listener, Loaded, LogStore
from podium.api.store.schema import COMPACTED, connect, migrate
from podium.api.store.state import after_prefix
from podium.api.store.watch import BACKLOG
from podium.api.store.writer import FINISH_CHECKPOINT, STOP, Compaction, Writer
from podium.api.types.errors import internal, unavailable

log = logging.getLogger(__name__)

PAGE_ROWS = 500
CHECKPOINT_ROUNDS = 4
FRAMES_LEFT_TO_WRITER = 64

CURRENT = """
SELECT revision, key, value FROM log WHERE NOT deleted AND revision NOT IN (SELECT previous FROM log)
"""
EVENTS = """
SELECT event.revision, event.key, event.value, event.deleted, event.previous, before.value
FROM log event LEFT JOIN log before ON before.revision = event.previous
WHERE event.revision > ? AND event.revision <= ? AND event.key >= ? AND event.key < ?
ORDER BY event.revision LIMIT ?
"""


class SqliteJournal(Journal):
    """The file at `path`, which belongs to one process at a time."""

    keeps_history = True

    def __init__(self, path: Path, codec: Codec | None = None) -> None:
        self._path = path
        self._codec = codec or Plain()
        # What was written in the clear shall not stay in pages that are free.
        self._wipe = codec is not None
        self._lock = -1
        self._writer: Writer | None = None
        self._connections: list[sqlite3.Connection] = []
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-aside")

    async def open(self, listener: Listener, cache: DecodedCache) -> Loaded:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._cache = cache
        try:
            loaded = await asyncio.to_thread(self._load)
        except BaseException:
            self._release()
            raise
        self._writer = Writer(
            self._connections[0],
            seal=self._codec.seal,
            committed=self._tell_committed,
            failed=self._tell_failed,
            checkpoint=self._checkpoint_aside,
        )
        self._writer.start()
        return loaded

    def submit(self, batch: Batch) -> None:
        self._thread.put(batch)

    async def read(self, prefix: str, after: int, until: int) -> tuple[list[Event], int]:
        if self._writer is None:
            raise unavailable("the store is closed")
        return await self._loop.run_in_executor(self._aside, self._read, prefix, after, until)

    async def compact(self, revision: int) -> None:
        done: Future[None] = Future()
        self._thread.put(Compaction(revision, done))
        try:
            await asyncio.wrap_future(done)
        except sqlite3.Error as error:
            raise internal(f"could not compact the store: {error}") from error

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.put(STOP)
            # The thread's last words reach the loop before the end of the join does.
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        await asyncio.to_thread(self._aside.shutdown)
        self._release()

    @property
    def _thread(self) -> Writer:
        if self._writer is None:
            raise unavailable("the store is closed")
        return self._writer

    def _tell_committed(self, batches: list[Batch]) -> None:
        self._loop.call_soon_threadsafe(self._on_committed, batches)

    def _tell_failed(self, batch: Batch, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._listener.failed, batch, error)

    def _on_committed(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._listener.committed(batch)

    def _release(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _load(self) -> Loaded:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._path.with_name(self._path.name + ".lock"))
        # Secrets are in it: nobody but the owner reads the file, and its log takes over the mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(self._path)
        self._connections.append(connection)
        migrate(connection)
        if self._wipe:
            connection.execute("PRAGMA secure_delete=ON").fetchall()
        self._connections.append(connect(self._path, cache_kib=512))
        compacted = _compacted(connection)
        (newest,) = connection.execute("SELECT max(revision) FROM log").fetchone()
        rows = connection.execute(CURRENT)
        entries = [opened(self._codec, key, value, revision, self._cache) for revision, key, value in rows]
        # The newest row may be a deletion that was compacted away.
        return Loaded(max(newest or 0, compacted), compacted, entries)

    def _read(self, prefix: str, after: int, until: int) -> tuple[list[Event], int]:
        """One page, on the thread aside. The mark and the rows are of one moment, so that a compaction cannot
        fall between."""
        connection = self._connections[1]
        connection.execute("BEGIN")
        try:
            compacted = _compacted(connection)
            if after < compacted:
                raise Compacted(after, compacted)
            rows = connection.execute(
                EVENTS, (after, until, prefix, after_prefix(prefix), PAGE_ROWS)
            ).fetchall()
        finally:
            connection.execute("COMMIT")
        events = [self._event(*row) for row in rows]
        return events, events[-1].revision if len(rows) == PAGE_ROWS else until

    def _event(
        self, revision: int, key: str, value: bytes, deleted: int, previous: int, before: bytes | None
    ) -> Event:
        codec, cache = self._codec, self._cache
        prev = opened(codec, key, before, previous, cache) if before is not None else None
        type = "DELETED" if deleted else "MODIFIED" if previous else "ADDED"
        return Event(type, opened(codec, key, value, revision, cache), prev)

    def _checkpoint_aside(self) -> None:
        self._aside.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        """On the thread aside: copies the log's frames while the writer appends more, until few are left."""
        try:
            for _ in range(CHECKPOINT_ROUNDS):
                _, frames, copied = self._connections[1].execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if frames - copied <= FRAMES_LEFT_TO_WRITER:
                    break
        except sqlite3.Error as error:
            log.warning("could not checkpoint the store: %s", error)
        if self._writer is not None:
            self._writer.put(FINISH_CHECKPOINT)


class SqliteStore(LogStore):
    """See `log.LogStore`. The file, and `FILE-wal`, `FILE-shm` and `FILE.lock` beside it, are made when
    missing. What lies in them went through `codec`."""

    def __init__(
        self,
        path: Path,
        *,
        history: History | None = None,
        decoded_bytes: int = DECODED_BYTES,
        backlog: int = BACKLOG,
        keep: float = KEEP_SECONDS,
        codec: Codec | None = None,
    ) -> None:
        journal = SqliteJournal(path, codec)
        super().__init__(journal, history=history, decoded_bytes=decoded_bytes, backlog=backlog, keep=keep)


def _compacted(connection: sqlite3.Connection) -> int:
    (revision,) = connection.execute("SELECT value FROM meta WHERE name=?", (COMPACTED,)).fetchone()
    return int(revision)


def _lock(path: Path) -> int:
    """The lock's file descriptor. Raises StatusError when another process has the store open: two states in
    memory over one log would drift apart."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise unavailable(f"the store {path.with_suffix('')} is in use by another process") from None
    return descriptor
