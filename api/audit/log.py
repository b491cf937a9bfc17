"""The audit log's file: lines of JSON, written by a thread of its own, rotated by size.

Nobody waits for the disk: what the thread does not get written in time is dropped, and counted. Rotated files
are named as log shippers know it: NAME-TIME.EXT beside the file."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Full, Queue
from typing import BinaryIO, Final

log = logging.getLogger(__name__)

QUEUE = 10_000
AT_ONCE = 500
STOP: Final = None

# Makes a line, on the thread.
Render = Callable[[], bytes]


class AuditLog:
    """`path` "-" is the standard output. At most `max_bytes` per file (0: any), `backups` rotated files (0:
    any number) that are no older than `days` (0: any age)."""

    def __init__(self, path: str, *, max_bytes: int = 0, backups: int = 0, days: int = 0) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._days = days
        self._queue: Queue[Render | None] = Queue(QUEUE)
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._file: BinaryIO = self._open()
        self.written = 0
        self.dropped = 0
        self._thread.start()

    def put(self, render: Render) -> None:
        """Never waits."""
        try:
            self._queue.put_nowait(render)
        except Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what is waiting. Blocks; idempotent."""
        if self._thread.is_alive():
            self._queue.put(STOP)
            self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not STOP:
            batch = [first]
            stopping = False
            while len(batch) < AT_ONCE:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is STOP:
                    stopping = True
                    break
                batch.append(more)
            self._write(batch)
            if stopping:
                break
        if self._path != "-":
            self._file.close()

    def _write(self, batch: list[Render]) -> None:
        try:
            for render in batch:
                line = render()
                if self._max_bytes and self._path != "-" and self._file.tell() + len(line) > self._max_bytes:
                    self._rotate()
                self._file.write(line)
            self._file.flush()
            self.written += len(batch)
        except (OSError, ValueError) as error:
            self.dropped += len(batch)
            log.error("could not write the audit log: %s", error)

    def _open(self) -> BinaryIO:
        if self._path == "-":
            return sys.stdout.buffer
        Path(self._path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "ab")
        file.seek(0, os.SEEK_END)
        return file

    def _rotate(self) -> None:
        if not self._file.tell():
            return
        self._file.close()
        try:
            path, now = Path(self._path), datetime.now(UTC)
            os.replace(path, path.with_name(f"{path.stem}-{now:%Y-%m-%dT%H-%M-%S.%f}{path.suffix}"))
            self._clean(path, now)
        finally:
            self._file = self._open()

    def _clean(self, path: Path, now: datetime) -> None:
        rotated = sorted(path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}"), reverse=True)
        oldest = (now - timedelta(days=self._days)).timestamp() if self._days else 0.0
        for index, each in enumerate(rotated):
            if (self._backups and index >= self._backups) or each.stat().st_mtime < oldest:
                each.unlink()
