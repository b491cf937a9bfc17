"""Removes images that nobody uses before they fill the disk: looks every five minutes, since a disk tells
nobody how full it is. Who is short of room earlier than that asks for it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

from podium.client.events import EventRecorder
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.pulling import garbage
from podium.runtime.pulling.garbage import Held, ImageGarbage, Seen
from podium.runtime.pulling.records import PullRecords

log = logging.getLogger(__name__)

PERIOD = 300.0


class GarbageError(Exception):
    """Not enough could be freed."""


def disk(folder: Path) -> tuple[int, int]:
    """(bytes in all, bytes free) where a folder lies, or is to lie. Raises OSError."""
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


class ImageCollector:
    """One node's. `used` gives the names and ids of images that pods have or want; `room` what there is of
    the disk and what is free of it, in bytes."""

    def __init__(
        self,
        settings: ImageGarbage,
        containerd: Containerd,
        records: PullRecords,
        recorder: EventRecorder,
        node_name: str,
        *,
        used: Callable[[], Collection[str]],
        room: Callable[[], tuple[int, int]],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._containerd = containerd
        self._records = records
        self._recorder = recorder
        self._node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name, "uid": node_name}}
        self._used = used
        self._room = room
        self._now = now
        self._since = now()
        self._seen: dict[str, Seen] = {}
        self._failed = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self) -> None:
        """Once. The first failure may be a moment's; the next is told."""
        try:
            await self.collect()
            self._failed = False
        except (ContainerdError, GarbageError, OSError) as error:
            log.warning("cannot remove unused images: %s", error)
            if self._failed:
                self._recorder.event(self._node, "Warning", "ImageGCFailed", str(error))
            self._failed = True

    async def collect(self) -> None:
        """Raises ContainerdError, GarbageError, OSError."""
        images, now = await self._watched()
        if self._settings.idle:
            return
        for image in garbage.too_old(self._settings, images, self._seen, now, self._since):
            await self._remove(image)
            images.remove(image)
        capacity, available = await asyncio.to_thread(self._room)
        if not capacity:
            self._recorder.event(
                self._node, "Warning", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem"
            )
            raise GarbageError("invalid capacity 0 on image filesystem")
        wanted = garbage.to_free(self._settings, capacity, available)
        going = garbage.chosen(self._settings, images, self._seen, now, wanted)
        await self._free(images, going)
        if (freed := sum(image.size for image in going)) < wanted:
            text = garbage.shortage(capacity, available, freed)
            self._recorder.event(self._node, "Warning", "FreeDiskSpaceFailed", text)
            raise GarbageError(text)

    async def remove_unused(self) -> int:
        """Removes what may go, however much room there is; how many images that were. Raises
        ContainerdError."""
        images, now = await self._watched()
        going = garbage.chosen(self._settings, images, self._seen, now, sys.maxsize)
        await self._free(images, going)
        return len(going)

    async def _watched(self) -> tuple[list[Held], datetime]:
        """What there is now. What came since the last look is seen for the first time."""
        images, now = await self._held(), self._now()
        self._seen = garbage.watched(self._seen, images, now)
        return images, now

    async def _free(self, images: list[Held], going: Iterable[Held]) -> None:
        for image in going:
            await self._remove(image)
            images.remove(image)
        await asyncio.to_thread(self._records.keep, [image.digest for image in images])

    async def _held(self) -> list[Held]:
        used = self._used()
        held = []
        for image in await self._containerd.cri.list():
            names = (*image.repo_tags, *image.repo_digests)
            is_used = image.id in used or any(name in used for name in names)
            held.append(Held(image.id, names, int(image.size), is_used, image.pinned))
        return held

    async def _remove(self, image: Held) -> None:
        log.info("removing image %s (%s), which no pod uses", image.digest, ", ".join(image.names))
        await self._containerd.cri.remove(image.digest)
        self._seen.pop(image.digest, None)
