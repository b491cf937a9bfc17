"""Writes a set of files so that readers see all of the old ones or all of the new ones, never a mixture.

The layout is kubelet's, which programs rely on to notice changes: the files lie in a hidden timestamped
directory, `..data` is a symlink to it, and every visible name is a symlink through `..data`. A new version is
a new directory and one rename.

    folder/user -> ..data/user
    folder/..data -> ..2026_02_01_15_04_05.1234567890
    folder/..2026_02_01_15_04_05.1234567890/user/labels
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from podium.storage.errors import failed

DATA = "..data"
_DATA_NEW = "..data_tmp"
_MAX_PATH = 4096
_MAX_NAME = 255


class File(NamedTuple):
    """`user` owns the file where it is not None."""

    data: bytes
    mode: int
    user: int | None = None


Payload = Mapping[str, File]


def write(folder: Path, payload: Payload, finish: Callable[[], None]) -> bool:
    """Makes `folder` show exactly `payload`, and says whether that changed anything. Not for two callers at
    once.

    `finish` sets the permissions of the new files before they are shown. Raises VolumeError for a path that
    leads elsewhere, OSError."""
    wanted = {_clean(path): file for path, file in payload.items()}
    data = folder / DATA
    old = folder / os.readlink(data) if data.is_symlink() else None
    stale = _paths(old) - set(wanted) if old is not None else set()
    changed = old is None or bool(stale) or not _holds(old, wanted)
    if changed:
        _publish(folder, wanted, finish)
    _link_visible(folder, wanted)
    _unlink_stale(folder, stale, wanted)
    if changed:
        _remove_versions(folder)
    return changed


def _clean(path: str) -> str:
    """The path without `.` and double slashes."""
    parts = PurePosixPath(path).parts
    if not parts:
        raise failed(f'invalid path: must not be empty: "{path}"')
    if path.startswith("/"):
        raise failed(f"invalid path: must be relative path: {path}")
    if len(path) > _MAX_PATH:
        raise failed(f"invalid path: must be less than or equal to {_MAX_PATH} characters")
    if ".." in parts:
        raise failed(f"invalid path: must not contain '..': {path}")
    if any(len(os.fsencode(part)) > _MAX_NAME for part in parts):
        raise failed(f"invalid path: filenames must be less than or equal to {_MAX_NAME} characters")
    if parts[0].startswith(".."):
        raise failed(f"invalid path: must not start with '..': {path}")
    return "/".join(parts)


def _paths(version: Path) -> set[str]:
    """The files of a version, relative to it."""
    found = set()
    for root, _, files in os.walk(version):
        found |= {os.path.relpath(os.path.join(root, name), version) for name in files}
    return found


def _holds(version: Path, wanted: Payload) -> bool:
    try:
        return all((version / path).read_bytes() == file.data for path, file in wanted.items())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _publish(folder: Path, wanted: Payload, finish: Callable[[], None]) -> None:
    stamp = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    version = Path(tempfile.mkdtemp(prefix=stamp, dir=folder))
    try:
        version.chmod(0o755)
        for path, file in wanted.items():
            _write_file(version, path, file)
        finish()
        new = folder / _DATA_NEW
        new.unlink(missing_ok=True)
        new.symlink_to(version.name)
        new.rename(folder / DATA)
    except BaseException:
        shutil.rmtree(version, ignore_errors=True)
        raise


def _write_file(version: Path, path: str, file: File) -> None:
    target = version / path
    _make_directories(version, path)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(file.data)
        if file.user is not None:
            os.fchown(descriptor, file.user, -1)
        # Apart from the creation, which the process's umask cuts down.
        os.fchmod(descriptor, file.mode)


def _make_directories(version: Path, path: str) -> None:
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        directory = version / parent
        if not directory.is_dir():
            directory.mkdir()
            directory.chmod(0o755)


def _link_visible(folder: Path, wanted: Payload) -> None:
    for name in {path.partition("/")[0] for path in wanted}:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")


def _unlink_stale(folder: Path, stale: set[str], wanted: Payload) -> None:
    kept = {path.partition("/")[0] for path in wanted}
    for name in {path.partition("/")[0] for path in stale} - kept:
        if (folder / name).is_symlink():
            (folder / name).unlink()


def _remove_versions(folder: Path) -> None:
    """All but the one that is shown: the last one, and what a crash left half written."""
    current = os.readlink(folder / DATA)
    for entry in os.scandir(folder):
        if entry.name.startswith("..") and entry.name != current and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
