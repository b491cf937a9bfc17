"""image volumes: what an OCI image holds, read-only.

Source: API reference, ImageVolumeSource; KEP-4639."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

from podium.api.types import Obj
from podium.client.events import EventRecorder
from podium.runtime.archive import ArchiveError
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.containerd.snapshots import OVERLAYFS, mapped
from podium.runtime.images import Image, PullError, parse
from podium.runtime.pulling.supply import ImageSupply
from podium.runtime.sandbox import own_users
from podium.runtime.usernamespaces import overlays
from podium.runtime.usernamespaces.records import UserRanges
from podium.storage import folders
from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import VolumeError, failed
from podium.storage.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, is_mount_point, mount, unmount

log = logging.getLogger(__name__)

FOLDER = "kubernetes.io~image"
# containerd keeps what has it, although nobody refers to it.
_ROOT = "containerd.io/gc.root"
_FLAGS = MS_RDONLY | MS_NOEXEC | MS_NOSUID | MS_NODEV


class ImagePlugin(Plugin):
    """Every volume is a snapshot of its own on the image's layers; nothing is ever written to it."""

    def __init__(
        self,
        containerd: Containerd,
        supply: ImageSupply,
        recorder: EventRecorder,
        pods_dir: Path,
        ranges: UserRanges,
    ) -> None:
        self._containerd = containerd
        self._supply = supply
        self._recorder = recorder
        self._pods_dir = pods_dir
        self._ranges = ranges

    def folder(self, type: str) -> str:
        return FOLDER

    async def mount(self, request: Request) -> MountedVolume:
        if not await asyncio.to_thread(is_mount_point, request.folder):
            try:
                await self._mount(request)
            except ContainerdError as error:
                raise failed(str(error)) from error
        return MountedVolume(str(request.folder), read_only=True, mapped=own_users(request.pod))

    async def release(self, uid: str) -> None:
        for folder in await asyncio.to_thread(self._folders, uid):
            await asyncio.to_thread(unmount, str(folder))
            try:
                await self._containerd.snapshots.remove(_key(uid, folder.name))
            except ContainerdError as error:
                log.warning("cannot remove the snapshot of image volume %s: %s", folder, error)

    def _folders(self, uid: str) -> list[Path]:
        parent = folders.volume_folder(self._pods_dir, uid, FOLDER, "x").parent
        return list(parent.iterdir()) if parent.is_dir() else []

    async def _mount(self, request: Request) -> None:
        """Raises VolumeError, ContainerdError, OSError."""
        image = await self._image(request.pod, request.source)
        request.folder.mkdir(parents=True, exist_ok=True)
        labels = {_ROOT: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        ids = await asyncio.to_thread(self._ranges.take, request.uid) if own_users(request.pod) else None
        if ids is not None:
            labels |= mapped(str(ids))
            # One that was left by a pod that had other ids would be made for those.
            await self._containerd.snapshots.remove(_key(request.uid, request.name))
        async with self._containerd.leases.held() as lease:
            mounts = await self._containerd.snapshots.prepare(
                _key(request.uid, request.name), image.snapshot, lease=lease, labels=labels
            )
        layers = mounts[0]
        if layers.type != "overlay":
            raise failed(f"the snapshotter {OVERLAYFS} gave a mount of type {layers.type}")
        if ids is not None:
            await asyncio.to_thread(overlays.mount_mapped, layers.options, request.folder, _FLAGS, ids)
            return
        await asyncio.to_thread(
            mount, "overlay", str(request.folder), "overlay", _FLAGS, ",".join(layers.options)
        )

    async def _image(self, pod: Obj, source: Obj) -> Image:
        """Raises VolumeError."""
        reference = str(source.get("reference") or "")

        def tell(type_: str, reason: str, message: str) -> None:
            self._recorder.event(pod, type_, reason, message)

        try:
            return await self._supply.obtain(pod, reference, _policy(source), tell)
        except PullError as error:
            raise VolumeError(error.reason, str(error), image=reference) from error
        except ArchiveError as error:
            raise failed(f'failed to unpack image "{reference}": {error}') from error


def _policy(source: Obj) -> str:
    """The API server's default: Always only for what has no other tag than `latest`."""
    if policy := source.get("pullPolicy"):
        return str(policy)
    try:
        name = parse(str(source.get("reference") or ""))
    except PullError:
        return "IfNotPresent"
    return "Always" if name.tag == "latest" and not name.digest else "IfNotPresent"


def _key(uid: str, name: str) -> str:
    return f"volume-{uid}-{name}"
