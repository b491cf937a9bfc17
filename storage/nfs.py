"""nfs volumes: a directory of another machine, where the kernel and mount.nfs can.

Source: API reference, NFSVolumeSource."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import VolumeError, failed
from podium.storage.kernel import is_mount_point
from podium.storage.provisioner import filesystems
from podium.storage.threads import slowly


class NfsPlugin(Plugin):
    def folder(self, type: str) -> str:
        return "kubernetes.io~nfs"

    async def mount(self, request: Request) -> MountedVolume:
        read_only = request.read_only or bool(request.source.get("readOnly"))
        await slowly(partial(_mount, request, read_only=read_only))
        return MountedVolume(str(request.folder), read_only)

    async def release(self, uid: str) -> None:
        """Nothing is kept."""


def _mount(request: Request, *, read_only: bool) -> None:
    """Raises VolumeError, OSError."""
    folder: Path = request.folder
    if is_mount_point(folder):
        return
    if not shutil.which("mount.nfs") and not Path("/sbin/mount.nfs").exists():
        raise failed("mount.nfs is not on this node: install the package nfs-common")
    folder.mkdir(parents=True, exist_ok=True)
    options = list((request.volume or {"spec": {}})["spec"].get("mountOptions") or ())
    source = f"{request.source['server']}:{request.source['path']}"
    try:
        filesystems.mount(source, folder, "nfs", [*options, *(["ro"] if read_only else [])])
    except VolumeError as error:
        # Looked at afterwards: mounting may load the kernel's module.
        if "nfs" not in Path("/proc/filesystems").read_text():
            raise failed(f"this node's kernel has no NFS client: {error.message}") from error
        raise
