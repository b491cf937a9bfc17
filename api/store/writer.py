"""The one thread that writes the log: it commits whatever has gathered while it was committing.

Few, large statements: each one gives the interpreter's lock away and has to wait to get it back, so a batch
is one multi-row INSERT, which outside a transaction is its own commit, instead of a row at a time.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from podium.api.store.log import Batch, Write
from podium.api.store.schema import COMPACTED, SWEPT

log = logging.getLogger(__name__)

# 5 columns each: below SQLite's limit of 32,766 parameters, and few enough statements for the connection's
# cache.
ROWS_PER_STATEMENT = 128
ROWS_PER_COMMIT = 1024
CHECKPOINT_BYTES = 4 << 20
SWEEP_REVISIONS = 256
# While there is more to write: fewer than are swept, so that sweeping comes to its end however busy the
# store is.
WRITES_PER_SWEEP = 128
FRAME_BYTES = 4096


class Compaction(NamedTuple):
    revision: int
    done: Future[None]


class Stop:
    pass


class FinishCheckpoint:
    pass


Message = Batch | Compaction | Stop | FinishCheckpoint
STOP: Final = Stop()
FINISH_CHECKPOINT: Final = FinishCheckpoint()


class Writer(threading.Thread):
    """`committed` and `failed` are called on this thread, in order. `checkpoint` asks for a checkpoint on
    another one, which is answered with FINISH_CHECKPOINT for the few frames that were written meanwhile."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        seal: Callable[[str, bytes], bytes],
        committed: Callable[[list[Batch]], None],
        failed: Callable[[Batch, Exception], None],
        checkpoint: Callable[[], None],
    ) -> None:
        super().__init__(name="store-writer", daemon=True)
        self._db = connection
        self._seal = seal
        self._committed = committed
        self._failed = failed
        self._checkpoint = checkpoint
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._held_back: Message | None = None
        self._refused = -1
        self._logged_bytes = 0
        self._checkpointing = False
        self._written = 0
        self._compacted, self._swept = self._marks()

    def put(self, message: Message) -> None:
        """From any thread."""
        self._inbox.put(message)

    def run(self) -> None:
        while True:
            self._maintain()
            match self._next():
                case Batch() as first:
                    self._commit(self._gather(first))
                case Compaction() as compaction:
                    self._compact(compaction)
                case FinishCheckpoint():
                    self._finish_checkpoint()
                case Stop():
                    return

    def _next(self) -> Message:
        held, self._held_back = self._held_back, None
        return held if held is not None else self._inbox.get()

    def _gather(self, first: Batch) -> list[Batch]:
        """The first batch and all that wait behind it, up to a bound on their rows."""
        batches, rows = [first], len(first.writes)
        while rows < ROWS_PER_COMMIT:
            try:
                message = self._inbox.get_nowait()
            except Empty:
                break
            if not isinstance(message, Batch):
                self._held_back = message
                break
            batches.append(message)
            rows += len(message.writes)
        # A batch after a failed one of its epoch may build on what was lost.
        return [batch for batch in batches if batch.epoch > self._refused]

    def _commit(self, batches: list[Batch]) -> None:
        writes = [write for batch in batches for write in batch.writes]
        if not writes:
            return
        try:
            self._insert(writes)
        except Exception as error:  # noqa: BLE001 - whatever it is, the writers must hear of it and the thread goes on
            self._refused = batches[-1].epoch
            self._rollback()
            self._failed(batches[0], error)
            return
        self._committed(batches)
        self._written += len(writes)
        self._logged_bytes += sum(max(FRAME_BYTES, len(write.entry.value)) for write in writes)

    def _insert(self, writes: list[Write]) -> None:
        if len(writes) <= ROWS_PER_STATEMENT:
            self._insert_rows(writes)
            return
        self._db.execute("BEGIN IMMEDIATE")
        for start in range(0, len(writes), ROWS_PER_STATEMENT):
            self._insert_rows(writes[start : start + ROWS_PER_STATEMENT])
        self._db.execute("COMMIT")

    def _insert_rows(self, writes: list[Write]) -> None:
        parameters: list[object] = []
        for write in writes:
            entry, prev = write.entry, write.prev
            deleted = write.type == "DELETED"
            value = self._seal(entry.key, entry.value)
            parameters += (entry.revision, prev.revision if prev else 0, deleted, entry.key, value)
        places = ",".join(["(?,?,?,?,?)"] * len(writes))
        self._db.execute(f"INSERT INTO log(revision,previous,deleted,key,value) VALUES {places}", parameters)

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _compact(self, compaction: Compaction) -> None:
        """The mark first, and durable: from then on nobody reads what the sweep takes away."""
        try:
            self._mark(COMPACTED, compaction.revision)
        except sqlite3.Error as error:
            compaction.done.set_exception(error)
            return
        self._compacted = compaction.revision
        compaction.done.set_result(None)

    def _maintain(self) -> None:
        """Between two commits: frees a small piece of what was compacted, sees to the checkpoint. Whoever has
        nothing else to do waits for a checkpoint under way before he frees more: the log could only grow."""
        self._see_to_checkpoint()
        while self._swept < self._compacted:
            idle = self._held_back is None and self._inbox.empty()
            if self._checkpointing if idle else self._written < WRITES_PER_SWEEP:
                break
            self._written = 0
            if not self._sweep():
                break
            self._see_to_checkpoint()
            if not idle:
                break

    def _see_to_checkpoint(self) -> None:
        if self._logged_bytes >= CHECKPOINT_BYTES and not self._checkpointing:
            self._checkpointing = True
            self._checkpoint()

    def _sweep(self) -> bool:
        """Deletes what was superseded or deleted in a few revisions. A failure leaves it for the next
        time."""
        low, high = self._swept, min(self._swept + SWEEP_REVISIONS, self._compacted)
        span = (low, high)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "DELETE FROM log WHERE revision IN"
                " (SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0)",
                span,
            )
            self._db.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND deleted", span)
            self._mark(SWEPT, high)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            log.warning("could not free compacted revisions: %s", error)
            self._rollback()
            return False
        self._swept = high
        self._logged_bytes += FRAME_BYTES * (high - low)
        return True

    def _finish_checkpoint(self) -> None:
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            log.warning("could not finish a checkpoint: %s", error)
        self._logged_bytes = 0
        self._checkpointing = False

    def _mark(self, name: str, revision: int) -> None:
        self._db.execute("UPDATE meta SET value=? WHERE name=?", (revision, name))

    def _marks(self) -> tuple[int, int]:
        marks = dict(self._db.execute("SELECT name, value FROM meta").fetchall())
        return int(marks[COMPACTED]), int(marks[SWEPT])
