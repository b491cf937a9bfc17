"""The claims' volumes of one node, for whoever runs on its loop: the provisioner, which makes, grows and
removes them, and the pods, which use them. One at a time for a volume; everything that blocks is in
threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from podium.storage import folders
from podium.storage.errors import failed
from podium.storage.kernel import bind, is_mount_point
from podium.storage.locks import Locks
from podium.storage.provisioner.images import Images, Note
from podium.storage.provisioner.staging import Staging
from podium.storage.threads import slowly

T = TypeVar("T")

# kubelet's folder for volumes of CSI drivers, which those of the built-in provisioner are to everybody else.
FOLDER = "kubernetes.io~csi"


class LocalVolumes:
    """`root` is the images' folder, `pods_dir` the pods': that a volume's folder is in a pod's is what
    makes the pod a user of it."""

    def __init__(self, root: Path, pods_dir: Path) -> None:
        self._pods_dir = pods_dir
        self._images = Images(root)
        self._staging = Staging(self._images)
        self._locks: Locks[str] = Locks()

    async def make(self, note: Note) -> Note:
        """Raises NoRoom, VolumeError, OSError."""
        return await self._alone(note.name, lambda: self._images.make(note))

    async def note(self, name: str) -> Note | None:
        return await slowly(lambda: self._images.note(name))

    async def notes(self) -> list[Note]:
        return await slowly(lambda: list(self._images.all()))

    async def update(self, note: Note) -> None:
        await self._alone(note.name, lambda: self._images.update(note))

    async def grow(self, name: str, size: int) -> int:
        """The size it has then. Raises Later, NoRoom, VolumeError, OSError."""
        return await self._alone(name, lambda: self._staging.grow(name, size))

    async def discard(self, name: str) -> bool:
        """Removes the volume and what is in it. False while it is in use. Raises OSError."""
        return await self._alone(name, lambda: self._discard(name))

    async def publish(
        self,
        name: str,
        uid: str,
        options: Sequence[str],
        prepare: Callable[[str], None],
        *,
        read_only: bool,
        alone: bool,
    ) -> Path:
        """Where the pod `uid` finds the volume's file system, `prepare`d for it before it is there.
        Idempotent. With `alone` no other pod may have it. Raises VolumeError, OSError."""
        target = folders.volume_folder(self._pods_dir, uid, FOLDER, name) / "mount"

        def work() -> Path:
            if alone:
                self._require_alone(name, uid)
            source = self._staging.mount(name, options)
            if not is_mount_point(target):
                prepare(str(source))
                target.mkdir(parents=True, exist_ok=True)
                bind(str(source), str(target), read_only=read_only)
            return target

        return await self._alone(name, work)

    async def device(self, name: str, uid: str, *, alone: bool) -> str:
        """The volume as a block device for the pod `uid`. Idempotent. Raises VolumeError, OSError."""
        link = folders.device_link(self._pods_dir, uid, FOLDER, name)

        def work() -> str:
            if alone:
                self._require_alone(name, uid)
            # The link first: it keeps the device from being taken for a forgotten one.
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self._images.image(name))
            device = self._staging.attach(name)
            link.unlink()
            link.symlink_to(device)
            return device

        return await self._alone(name, work)

    async def release_unused(self) -> list[str]:
        """Detaches what no pod uses any more, all of it written to the disk. Returns the volumes' names.
        Raises OSError."""
        released = []
        for name in sorted(await slowly(self._staging.staged)):
            if await self._alone(name, lambda name=name: self._release(name)):  # type: ignore[misc]
                released.append(name)
        return released

    async def in_use(self) -> list[str]:
        """The names of the volumes that are attached or mounted here."""
        return sorted(await slowly(self._staging.staged))

    async def sweep(self) -> None:
        """Before anything else after a start: what a crash left half made, half removed, or attached for
        nobody."""
        await slowly(self._images.sweep)
        await self.release_unused()

    async def _alone(self, name: str, work: Callable[[], T]) -> T:
        async with self._locks.held(name):
            return await slowly(work)

    def _require_alone(self, name: str, uid: str) -> None:
        if self._users(name) - {uid}:
            raise failed("volume uses the ReadWriteOncePod access mode and is already in use by another pod")

    def _users(self, name: str) -> set[str]:
        return folders.users(self._pods_dir, FOLDER, name)

    def _release(self, name: str) -> bool:
        if self._users(name) or self._staging.shown_at(name):
            return False
        self._staging.release(name)
        return True

    def _discard(self, name: str) -> bool:
        if not os.path.lexists(self._images.folder(name)):
            return True
        if not self._release(name) or self._staging.is_mounted(name):
            return False
        self._images.discard(name)
        return True
