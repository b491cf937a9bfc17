"""Where pods' volumes lie on disk, and how they go.

    PODS_DIR/UID/volumes/PLUGIN/NAME                 one volume; PLUGIN as kubelet spells it:
kubernetes.io~configmap PODS_DIR/UID/volume-subpaths/NAME/CONTAINER/N    the subPath of a container's Nth
volumeMount, bound
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from podium.storage.kernel import mounts_below, unmount

VOLUMES = "volumes"
SUBPATHS = "volume-subpaths"


def pod_folder(pods_dir: Path, uid: str) -> Path:
    """Raises ValueError for what cannot be a uid, since it becomes part of a path."""
    if not uid or uid in (".", "..") or "/" in uid or "\0" in uid:
        raise ValueError(f"not a pod's uid: {uid!r}")
    return pods_dir / uid


def volume_folder(pods_dir: Path, uid: str, plugin: str, name: str) -> Path:
    return pod_folder(pods_dir, uid) / VOLUMES / plugin / name


def subpath_target(pods_dir: Path, uid: str, volume: str, container: str, index: int) -> Path:
    return pod_folder(pods_dir, uid) / SUBPATHS / volume / container / str(index)


def remove(pods_dir: Path, uid: str) -> None:
    """Unmounts and removes all volumes of a pod, and its folder if nothing else is in it. Idempotent.

    First every mount, then the files: removing never reaches into what was mounted, and `rmtree` follows no
    symlink, not even one that is put there while it works. Raises OSError."""
    folder = pod_folder(pods_dir, uid)
    for part in (SUBPATHS, VOLUMES):
        _remove_tree(folder / part)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove_tree(tree: Path) -> None:
    for point in mounts_below(tree):
        unmount(point)
    left = mounts_below(tree)
    if left:
        raise OSError(f"still mounted: {', '.join(left)}")
    if os.path.lexists(tree):
        shutil.rmtree(tree)


def known(pods_dir: Path) -> set[str]:
    """Uids of the pods that have a folder of volumes."""
    try:
        with os.scandir(pods_dir) as entries:
            return {entry.name for entry in entries if _has_volumes(Path(entry.path))}
    except FileNotFoundError:
        return set()


def _has_volumes(folder: Path) -> bool:
    return (folder / VOLUMES).is_dir() or (folder / SUBPATHS).is_dir()
