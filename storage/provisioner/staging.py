"""Images in use: attached, mounted once for the node, grown while they are.

What is in use is read from the kernel each time: the device of an image from the loop devices, its mounts
from the mount table. A device whose image has a file system clears itself when the last mount goes, so that
no crash leaves one behind; that of a block volume is detached by `release` or, after a crash, by
`sweep`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from podium.storage.errors import failed
from podium.storage.kernel import is_mount_point, mounts_of, unmount_flushed
from podium.storage.provisioner import filesystems, loop
from podium.storage.provisioner.images import MIB, Images, Note

# What a file system leaves unused at the end of its device, less than a group of blocks.
_SLACK = MIB


class Later(Exception):
    """The image has grown; its file system will when it is mounted the next time."""


class Staging:
    """Everything blocks: call it in threads. One call per image at a time is the caller's business."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def attach(self, name: str) -> str:
        """The device of a block volume. Idempotent. Raises VolumeError, OSError."""
        self._whole(name)
        with loop.attach(self._images.image(name), autoclear=False) as device:
            return device.path

    def mount(self, name: str, options: Sequence[str] = ()) -> Path:
        """Where the volume's file system is mounted. Idempotent. Raises VolumeError, OSError."""
        note = self._whole(name)
        target = self._images.mount_point(name)
        if is_mount_point(target):
            return target
        target.mkdir(mode=0o700, exist_ok=True)
        image = self._images.image(name)
        with loop.attach(image, autoclear=True) as device:
            filesystems.repair(device.path, note.fs_type)
            # An image may be longer than its file system: whoever grew it was killed in between, or had to
            # wait.
            behind = filesystems.size_of(image, note.fs_type) < note.size - _SLACK
            online = filesystems.grows_mounted(note.fs_type)
            if behind:
                device.refresh_size()
            if behind and not online:
                filesystems.grow_unmounted(device.path, note.fs_type)
            filesystems.mount(device.path, target, note.fs_type, options)
            if behind and online:
                filesystems.grow_mounted(device.path, target, note.fs_type)
        return target

    def grow(self, name: str, size: int) -> int:
        """Gives a volume `size` bytes and returns what it has now, which may be more. It may be in use.
        Raises Later, NoRoom, VolumeError, OSError."""
        note = self._whole(name)
        self._images.lengthen(name, size)
        image = self._images.image(name)
        if note.fs_type and not self.is_mounted(name):
            unmount_flushed(str(self.mount(name)))
        elif (device := loop.find(image)) is not None:
            with device:
                device.refresh_size()
                if note.fs_type:
                    self._grow_mounted(device, note)
        return image.stat().st_size

    def _grow_mounted(self, device: loop.Attached, note: Note) -> None:
        if not filesystems.grows_mounted(note.fs_type):
            raise Later(f"a mounted {note.fs_type} cannot be grown by this node")
        filesystems.grow_mounted(device.path, self._images.mount_point(note.name), note.fs_type)

    def is_mounted(self, name: str) -> bool:
        return is_mount_point(self._images.mount_point(name))

    def in_use(self, name: str) -> bool:
        """Whether the image has a device, mounted or not."""
        image = self._images.image(name)
        if not image.exists():
            return self.is_mounted(name)
        device = loop.find(image)
        if device is None:
            return False
        with device:
            return True

    def shown_at(self, name: str) -> list[str]:
        """Where the mounted file system is shown besides: in pods' folders."""
        target = self._images.mount_point(name)
        if not is_mount_point(target):
            return []
        own = os.path.realpath(target)
        return [point for point in mounts_of(target.stat().st_dev) if point != own]

    def release(self, name: str) -> None:
        """After the last pod: everything written is on the disk, and the device goes. Idempotent. Raises
        OSError."""
        target = self._images.mount_point(name)
        if is_mount_point(target):
            unmount_flushed(str(target))
        image = self._images.image(name)
        device = loop.find(image) if image.exists() else None
        if device is not None:
            with device:
                device.detach()

    def staged(self) -> set[str]:
        """The names of the volumes that are attached or mounted here."""
        root = os.path.realpath(self._images.root)
        names = {name for name in self._images.names() if self.is_mounted(name)}
        for path in loop.backing_files().values():
            folder = os.path.dirname(path)
            if os.path.dirname(folder) == root:
                names.add(os.path.basename(folder))
        return {name for name in names if not name.startswith(".")}

    def _whole(self, name: str) -> Note:
        """Never a new one in the place of what was lost."""
        note = self._images.note(name)
        if note is None:
            raise failed(
                f"the image of volume {name} is not on this node: {self._images.image(name)} is missing"
            )
        return note
