"""The file with the keys of what is encrypted at rest, followed while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from podium.api.encryption import ConfigError, Encryption, read_config
from podium.api.metrics import Family
from podium.api.store.log import LogStore

log = logging.getLogger(__name__)

# Seconds after a change before the file is read: whoever writes it may take several steps.
CALM = 0.1


class Reloading:
    """`codec` is what the store uses, made of the file's present text."""

    def __init__(self, path: Path, codec: Encryption, store: LogStore) -> None:
        self._path = path
        self._codec = codec
        self._store = store
        self._text = path.read_text()
        self._done: Counter[str] = Counter()

    async def run(self) -> None:
        """Until cancelled. A file that is missing or wrong changes nothing, and is told."""
        # Large, and only needed where something is encrypted.
        from podium.runtime.logs.inotify import DirectoryWatch

        changed = asyncio.Event()
        watch = DirectoryWatch(str(self._path.parent), changed)
        try:
            while True:
                await changed.wait()
                await asyncio.sleep(CALM)
                changed.clear()
                self.look()
                await self._store.reopen(self._codec)
        finally:
            watch.close()

    def look(self) -> None:
        """Takes over what the file says now."""
        try:
            text = self._path.read_text()
            if text == self._text:
                return
            self._text = text
            self._codec.follow(read_config(text))
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            self._done["failure"] += 1
            log.error("%s is left aside, and what it said before counts: %s", self._path, error)
            return
        self._store.outdate(self._codec.covers)
        self._done["success"] += 1
        log.info("%s has changed: what is written from now on is encrypted as it says", self._path)

    def families(self) -> Iterator[Family]:
        """For /metrics."""
        yield Family(
            "apiserver_encryption_config_controller_automatic_reloads_total", "counter",
            "Changes of the encryption configuration, by whether they could be taken over.", ("status",),
            [((status,), self._done[status]) for status in ("failure", "success")],
        )  # fmt: skip
