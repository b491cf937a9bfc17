"""A folder of image archives: whatever comes into it is imported, once it is complete."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podium.runtime import folders
from podium.runtime.archive import ArchiveError, load
from podium.runtime.containerd import Containerd, ContainerdError

log = logging.getLogger(__name__)

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")


def archives(folder: Path) -> list[Path]:
    """What is to be imported from a folder: archives by their endings, image layouts; nothing hidden."""
    found = (path for path in folder.iterdir() if _wanted(path))
    return sorted(found)


def _wanted(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return (path / "index.json").is_file()
    return path.name.endswith(ENDINGS) and path.is_file()


async def follow(folder: Path, containerd: Containerd, lock: Path) -> None:
    """Until cancelled. One that is bad is told of, and keeps none of the others."""
    async for names in folders.changes(folder):
        wanted = await asyncio.to_thread(archives, folder)
        for path in wanted:
            if names is None or path.name in names:
                await _import(containerd, path, lock)


async def _import(containerd: Containerd, path: Path, lock: Path) -> None:
    try:
        async with alone(lock):
            for name in await load(containerd, path):
                log.info("imported %s from %s", name, path)
    except (ArchiveError, ContainerdError, OSError) as error:
        log.error("cannot import %s", error if str(path) in str(error) else f"{path}: {error}")


@asynccontextmanager
async def alone(lock: Path) -> AsyncIterator[None]:
    """While nobody else imports into the same containerd: two that unpack the same layers at once would be
    in each other's way."""
    await asyncio.to_thread(lock.parent.mkdir, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
