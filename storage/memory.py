"""Directories in memory: tmpfs and huge pages."""

from __future__ import annotations

import errno
from pathlib import Path

from podium.storage.kernel import is_mount_point, mount


def mount_tmpfs(folder: Path, *, size: int | None = None, group: int | None = None) -> None:
    """A tmpfs on `folder`, of at most `size` bytes (half of the machine's memory without), whose root belongs
    to `group`.

    Never swapped out where the kernel can promise it (6.3). Idempotent. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_mount_point(folder):
        return
    options = []
    if size is not None:
        options.append(f"size={size}")
    if group is not None:
        options += [f"gid={group}", "mode=3777"]
    try:
        mount("tmpfs", str(folder), "tmpfs", options=",".join([*options, "noswap"]))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount("tmpfs", str(folder), "tmpfs", options=",".join(options))


def mount_huge_pages(folder: Path, page_size: str) -> None:
    """Idempotent. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if not is_mount_point(folder):
        mount("nodev", str(folder), "hugetlbfs", options=f"pagesize={page_size}")
