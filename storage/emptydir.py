"""emptyDir volumes: a folder that lives as long as its pod, on disk or in memory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from podium.api.types import Obj, quantity
from podium.storage import memory
from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import failed
from podium.storage.ownership import give_to_group

FOLDER = "kubernetes.io~empty-dir"
_HUGE = "HugePages"


class EmptyDirPlugin(Plugin):
    def folder(self, type: str) -> str:
        return FOLDER

    async def mount(self, request: Request) -> MountedVolume:
        medium = str(request.source.get("medium") or "")
        if medium == "":
            await asyncio.to_thread(_make_folder, request.folder, request.fs_group)
        elif medium == "Memory":
            size = memory_size(request.pod, request.source.get("sizeLimit"))
            await asyncio.to_thread(memory.mount_tmpfs, request.folder, size=size, group=request.fs_group)
        elif medium == _HUGE or medium.startswith(f"{_HUGE}-"):
            page_size = huge_page_size(request.pod, medium)
            await asyncio.to_thread(memory.mount_huge_pages, request.folder, page_size)
        else:
            raise failed(f'unknown storage medium "{medium}"')
        return MountedVolume(str(request.folder))

    async def release(self, uid: str) -> None:
        """Nothing is kept."""


def _make_folder(folder: Path, group: int | None) -> None:
    """The folder appears with its permissions complete: once it is there, what is in it is the pod's
    alone."""
    if folder.is_dir():
        return
    new = folder.with_name(f"..{folder.name}")
    new.mkdir(parents=True, exist_ok=True)
    new.chmod(0o777)
    if group is not None:
        give_to_group(new, group, read_only=False)
    os.rename(new, folder)


def memory_size(pod: Obj, limit: str | int | None) -> int | None:
    """The most a volume in memory may take: its sizeLimit, and no more than the pod itself may."""
    bounds = [quantity.value(limit)] if limit is not None and quantity.value(limit) > 0 else []
    limits = [
        ((container.get("resources") or {}).get("limits") or {}).get("memory")
        for container in pod["spec"].get("containers") or ()
    ]
    if limits and all(amount is not None for amount in limits):
        bounds.append(sum(quantity.value(amount) for amount in limits if amount is not None))
    return min(bounds, default=None)


def huge_page_size(pod: Obj, medium: str) -> str:
    """The page size as the mount option: of the medium, or the one that the pod asks for. Raises
    VolumeError."""
    if medium != _HUGE:
        return medium.removeprefix(f"{_HUGE}-").removesuffix("i")
    sizes = {
        str(name).removeprefix("hugepages-")
        for field in ("initContainers", "containers")
        for container in pod["spec"].get(field) or ()
        for name in (container.get("resources") or {}).get("requests") or {}
        if name.startswith("hugepages-")
    }
    if not sizes:
        raise failed(
            'medium "HugePages" can only be used if at least one container has huge pages in requests'
        )
    if len(sizes) > 1:
        raise failed('medium "HugePages" can only be used if all containers request the same huge page size')
    return sizes.pop().removesuffix("i")
