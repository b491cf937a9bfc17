"""local volumes: a directory or a block device of one node, named by a PersistentVolume.

Source: API reference, LocalVolumeSource."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path

from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import failed
from podium.storage.kernel import bind, is_mount_point
from podium.storage.ownership import give_to_pod
from podium.storage.provisioner import filesystems
from podium.storage.threads import slowly


class LocalPlugin(Plugin):
    def folder(self, type: str) -> str:
        return "kubernetes.io~local-volume"

    async def mount(self, request: Request) -> MountedVolume:
        path = str(request.source["path"])
        if request.is_block:
            await slowly(partial(_require_device, path))
            return MountedVolume(path, request.read_only, "block")
        await slowly(partial(_mount, request, path))
        return MountedVolume(str(request.folder), request.read_only)

    async def release(self, uid: str) -> None:
        """Nothing is kept."""


def _mount(request: Request, path: str) -> None:
    """Raises VolumeError, OSError."""
    mode = _mode(path)
    if not (stat.S_ISDIR(mode) or stat.S_ISBLK(mode)):
        raise failed(f"path {path!r} is neither a directory nor a block device")
    if is_mount_point(request.folder):
        return
    request.folder.mkdir(parents=True, exist_ok=True)
    if stat.S_ISBLK(mode):
        _mount_device(request, path)
        path = str(request.folder)
    if not request.read_only:
        give_to_pod(request.pod, path)
    if path != str(request.folder):
        bind(path, str(request.folder), read_only=request.read_only)


def _mount_device(request: Request, path: str) -> None:
    """With the file system that is on it, or a new one where there is nothing."""
    assert request.volume is not None
    wanted = str(request.source.get("fsType") or filesystems.DEFAULT)
    found = filesystems.type_of(path)
    if not found:
        if wanted not in filesystems.TYPES:
            raise failed(f"no file system of type {wanted} can be made here")
        filesystems.make(path, wanted, _size(path))
        found = wanted
    filesystems.repair(path, found)
    options = [*(request.volume["spec"].get("mountOptions") or ()), *(["ro"] if request.read_only else [])]
    filesystems.mount(path, Path(request.folder), found, options)


def _size(device: str) -> int:
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def _require_device(path: str) -> None:
    if not stat.S_ISBLK(_mode(path)):
        raise failed(f"path {path!r} is not a block device", "MapVolume.SetUpDevice")


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        raise failed(f'path "{path}" does not exist', "MountVolume.NewMounter initialization") from None
