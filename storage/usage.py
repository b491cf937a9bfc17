"""How much of the disk volumes take, in the shape of the node's Summary. Blocks: call it in threads.

Shape: k8s.io/kubelet/pkg/apis/stats/v1alpha1, VolumeStats."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import NamedTuple

from podium.api.types import Obj


class Taken(NamedTuple):
    """Bytes of the disk, and files."""

    size: int
    files: int


def tree(root: str) -> Taken:
    """What a directory and everything in it take of its own file system, as du(1) counts: blocks, and a
    file with several names once. What goes meanwhile does not count."""
    try:
        own = os.lstat(root)
    except FileNotFoundError:
        return Taken(0, 0)
    size, files = own.st_blocks * 512, 1
    seen: set[int] = set()
    folders = [root]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_dev != own.st_dev or found.st_ino in seen:
                continue
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                seen.add(found.st_ino)
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.path)
            size, files = size + found.st_blocks * 512, files + 1
    return Taken(size, files)


def volume_stats(name: str, path: str, *, own: bool) -> Obj:
    """One volume's statistics; `own` is one that has a file system to itself. Raises OSError."""
    disk = os.statvfs(path)
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    files = disk.f_files - disk.f_ffree
    if not own:
        used, files = tree(path)
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "availableBytes": disk.f_bavail * disk.f_frsize,
        "capacityBytes": disk.f_blocks * disk.f_frsize,
        "usedBytes": used,
        "inodesFree": disk.f_ffree,
        "inodes": disk.f_files,
        "inodesUsed": files,
        "name": name,
    }
