"""A subPath of a volume, for a container that could replace any part of it by a symlink at any moment.

The kernel resolves the path inside the volume and never leaves it (openat2, RESOLVE_BENEATH), links included;
the result is held as a descriptor, and that descriptor is what gets bound, so that nothing that happens later
counts."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from podium.storage.errors import VolumeError
from podium.storage.kernel import MS_BIND, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, mount, open_beneath, unmount


def open_subpath(volume_path: str, subpath: str) -> int:
    """An O_PATH descriptor of `subpath` below the volume; missing directories are made, with the permissions
    of the volume's root. The caller closes it. Raises VolumeError."""
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise _refused(subpath, "must be a relative path without '..'")
    root = os.open(volume_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _open(root, [part for part in subpath.split("/") if part not in ("", ".")])
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise _refused(subpath, "leads out of the volume") from error
        raise _refused(subpath, str(error.strerror)) from error
    finally:
        os.close(root)


def bind_subpath(volume_path: str, subpath: str, target: Path) -> str:
    """Binds `subpath` to `target`, which is made, and returns it: what a container can be given safely.
    Idempotent.

    Raises VolumeError, OSError."""
    descriptor = open_subpath(volume_path, subpath)
    try:
        wanted = os.fstat(descriptor)
        if _same(target, wanted):
            return str(target)
        unmount(str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        _make_mount_point(target, directory=stat.S_ISDIR(wanted.st_mode))
        mount(f"/proc/self/fd/{descriptor}", str(target), flags=MS_BIND)
        return str(target)
    finally:
        os.close(descriptor)


def _open(root: int, parts: list[str]) -> int:
    try:
        return open_beneath(root, "/".join(parts) or ".", os.O_PATH, RESOLVE_BENEATH)
    except FileNotFoundError:
        return _make(root, parts)


def _make(root: int, parts: list[str]) -> int:
    """Opens part by part, making what is missing: each in a directory that is already held."""
    mode = stat.S_IMODE(os.stat(f"/proc/self/fd/{root}").st_mode)
    current = os.dup(root)
    for depth, part in enumerate(parts, 1):
        try:
            following = open_beneath(
                root, "/".join(parts[:depth]), os.O_PATH | os.O_DIRECTORY, RESOLVE_BENEATH
            )
        except FileNotFoundError:
            following = _make_one(current, part, mode)
        finally:
            os.close(current)
        current = following
    return current


def _make_one(parent: int, name: str, mode: int) -> int:
    os.mkdir(name, 0o700, dir_fd=parent)
    made = open_beneath(parent, name, os.O_PATH | os.O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    # Apart from the creation, which the process's umask cuts down; by descriptor, which cannot be swapped.
    os.chmod(f"/proc/self/fd/{made}", mode)
    return made


def _same(target: Path, wanted: os.stat_result) -> bool:
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _make_mount_point(target: Path, *, directory: bool) -> None:
    if directory:
        target.mkdir(exist_ok=True)
    else:
        target.touch()


def _refused(subpath: str, why: str) -> VolumeError:
    return VolumeError("CreateContainerConfigError", f'failed to prepare subPath "{subpath}": {why}')
