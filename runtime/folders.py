"""A folder that is followed: files that come, change and go in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from podium.runtime.logs.inotify import FolderWatch

log = logging.getLogger(__name__)

_PAUSE = 1.0


async def changes(folder: Path) -> AsyncIterator[set[str] | None]:
    """What there is to look at, until the caller stops: None for everything (at first, and when the folder
    itself has come anew), then the names of files that are complete or gone. A folder that is not
    there, or is taken away, is made."""
    while True:
        changed = asyncio.Event()
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            watch = FolderWatch(str(folder), changed)
        except OSError as error:
            log.warning("cannot watch %s: %s", folder, error)
            await asyncio.sleep(_PAUSE)
            continue
        try:
            yield None
            while "" not in watch.names:
                await changed.wait()
                changed.clear()
                names = set(watch.names)
                watch.names -= names
                if "" in names:
                    break
                yield names
        finally:
            watch.close()
