"""The claims' images on this node's disk.

    ROOT/NAME/image        the file system (or the raw bytes of a block volume), sparse
    ROOT/NAME/claim.json   whose it is (`Note`)
    ROOT/NAME/mount        where it is mounted, once for all pods of the node
    ROOT/.new-NAME         being made: not there for anybody
    ROOT/.trash-NAME       being removed

A folder gets its name by one rename when everything in it is on the disk, and loses it by one rename before
anything of it goes: what has a name is whole. NAME is the PersistentVolume's."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from podium.storage.errors import failed
from podium.storage.provisioner import filesystems

MIB: Final = 1 << 20
_RESERVE: Final = 1 << 30
_RESERVED_SHARE: Final = 20

IMAGE: Final = "image"
_NOTE: Final = "claim.json"
_MOUNT: Final = "mount"
_NEW: Final = ".new-"
_TRASH: Final = ".trash-"


@dataclass(frozen=True, slots=True)
class Note:
    """What is known beside an image. `fs_type` is "" for a block volume, `size` in bytes. `policy` is the
    reclaim policy as last seen on the PersistentVolume, and `committed` whether that was ever seen."""

    name: str
    size: int
    fs_type: str
    namespace: str
    claim: str
    uid: str
    storage_class: str = ""
    policy: str = "Delete"
    committed: bool = False


class NoRoom(Exception):
    """The disk has `free` bytes that are promised to nobody, and `wanted` were asked for."""

    def __init__(self, free: int, wanted: int) -> None:
        super().__init__(f"{in_mib(free)} free of {in_mib(wanted)}")
        self.free = free
        self.wanted = wanted


class Images:
    """One node's images. Everything blocks: call it in threads. One call per image at a time is the caller's
    business; different images may be worked on side by side."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # From looking for room until what takes it can be seen: nobody else is promised the same.
        self._promising = threading.Lock()

    def folder(self, name: str) -> Path:
        """Raises VolumeError for what is no name, since it becomes a path."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise failed(f"not a volume's name: {name!r}")
        return self.root / name

    def image(self, name: str) -> Path:
        return self.folder(name) / IMAGE

    def mount_point(self, name: str) -> Path:
        return self.folder(name) / _MOUNT

    def note(self, name: str) -> Note | None:
        """None where there is no whole image of that name."""
        folder = self.folder(name)
        try:
            stored = json.loads((folder / _NOTE).read_text())
            size = (folder / IMAGE).stat().st_size
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        return Note(**{**stored, "size": size})

    def names(self) -> list[str]:
        try:
            with os.scandir(self.root) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def all(self) -> Iterator[Note]:
        for name in self.names():
            if (note := self.note(name)) is not None:
                yield note

    def make(self, note: Note) -> Note:
        """The image as it is noted, which may be there already. Raises NoRoom, VolumeError, OSError."""
        there = self.note(note.name)
        if there is not None:
            return there
        self.root.mkdir(parents=True, exist_ok=True)
        new = self.root / f"{_NEW}{note.name}"
        _remove(new)
        try:
            with self._promising:
                self.require_room(note.size)
                new.mkdir(mode=0o700)
                _create(new / IMAGE, note.size)
            if note.fs_type:
                filesystems.make(new / IMAGE, note.fs_type, note.size)
            (new / _MOUNT).mkdir(mode=0o700)
            _flush(new / IMAGE)
            _write_note(new, note)
            os.rename(new, self.folder(note.name))
        except BaseException:
            _remove(new)
            raise
        _flush(self.root)
        return note

    def update(self, note: Note) -> None:
        """Keeps beside the image what has been learned since. Raises OSError."""
        if note != self.note(note.name):
            _write_note(self.folder(note.name), note)

    def lengthen(self, name: str, size: int) -> None:
        """Gives the image more room; the file system in it does not know yet. Raises NoRoom, OSError."""
        image = self.image(name)
        before = image.stat().st_size
        if size <= before:
            return
        with self._promising:
            self.require_room(size - before)
            os.truncate(image, size)
        _flush(image)

    def discard(self, name: str) -> None:
        """Removes an image that nobody has mounted. Idempotent. Raises OSError."""
        folder, trash = self.folder(name), self.root / f"{_TRASH}{name}"
        _remove(trash)
        try:
            os.rename(folder, trash)
        except FileNotFoundError:
            return
        _flush(self.root)
        _remove(trash)

    def sweep(self) -> None:
        """Removes what a crash left half made or half removed. Not beside a `make` or `discard`."""
        if not self.root.is_dir():
            return
        for entry in list(self.root.iterdir()):
            if entry.name.startswith((_NEW, _TRASH)):
                _remove(entry)

    def room(self) -> int:
        """Bytes that may still be promised: what is free on the disk, without what the images may yet take
        of it, and without a reserve for everybody else on the machine."""
        place = next(path for path in (self.root, *self.root.parents) if path.exists())
        disk = os.statvfs(place)
        reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize // _RESERVED_SHARE)
        return max(0, disk.f_bavail * disk.f_frsize - self._promised() - reserve)

    def require_room(self, wanted: int) -> None:
        """Raises NoRoom."""
        free = self.room()
        if wanted > free:
            raise NoRoom(free, wanted)

    def _promised(self) -> int:
        """What is being made counts already, what is being removed no longer."""
        promised = 0
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.name.startswith(_TRASH):
                continue
            try:
                found = (folder / IMAGE).stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            promised += max(0, found.st_size - found.st_blocks * 512)
        return promised


def committed(note: Note, policy: str) -> Note:
    """Once its PersistentVolume has been seen."""
    return replace(note, committed=True, policy=policy)


def in_mib(size: int) -> str:
    return f"{size // MIB}Mi"


def _create(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _write_note(folder: Path, note: Note) -> None:
    scratch = folder / f".{_NOTE}"
    scratch.write_text(json.dumps(asdict(note), indent=2) + "\n")
    _flush(scratch)
    os.rename(scratch, folder / _NOTE)
    _flush(folder)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    if os.path.lexists(folder):
        shutil.rmtree(folder)
