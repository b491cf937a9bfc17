"""Where pods' volumes lie on disk, and how they go.

    PODS_DIR/UID/volumes/PLUGIN/NAME                 one volume; PLUGIN as kubelet spells it
    PODS_DIR/UID/volumeDevices/PLUGIN/NAME           a link to the device of a block volume
    PODS_DIR/UID/volume-subpaths/NAME/CONTAINER/N    the subPath of a container's Nth volumeMount, bound

NAME is the pod's own for a volume, or the PersistentVolume's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from podium.storage.kernel import mounts_below, unmount

VOLUMES = "volumes"
DEVICES = "volumeDevices"
SUBPATHS = "volume-subpaths"
_PARTS = (SUBPATHS, VOLUMES, DEVICES)


def pod_folder(pods_dir: Path, uid: str) -> Path:
    """Raises ValueError for what cannot be a uid, since it becomes part of a path."""
    if not uid or uid in (".", "..") or "/" in uid or "\0" in uid:
        raise ValueError(f"not a pod's uid: {uid!r}")
    return pods_dir / uid


def volume_folder(pods_dir: Path, uid: str, plugin: str, name: str) -> Path:
    return pod_folder(pods_dir, uid) / VOLUMES / plugin / name


def device_link(pods_dir: Path, uid: str, plugin: str, name: str) -> Path:
    return pod_folder(pods_dir, uid) / DEVICES / plugin / name


def has_plugin(pods_dir: Path, uid: str, plugin: str) -> bool:
    """Whether the pod has, or had, a volume of that plugin."""
    folder = pod_folder(pods_dir, uid)
    return any((folder / part / plugin).exists() for part in (VOLUMES, DEVICES))


def users(pods_dir: Path, plugin: str, name: str) -> set[str]:
    """Uids of the pods that have a volume of that name, as files or as a device."""
    found = set()
    for uid in known(pods_dir):
        places = (volume_folder(pods_dir, uid, plugin, name), device_link(pods_dir, uid, plugin, name))
        if any(os.path.lexists(place) for place in places):
            found.add(uid)
    return found


def subpath_target(pods_dir: Path, uid: str, volume: str, container: str, index: int) -> Path:
    return pod_folder(pods_dir, uid) / SUBPATHS / volume / container / str(index)


def remove(pods_dir: Path, uid: str, *, keep: str = "") -> None:
    """Unmounts all volumes of a pod and removes them, but for what the plugin `keep` has on the disk; then
    its folder if nothing else is in it. Idempotent.

    First every mount, then the files: removing never reaches into what was mounted, and `rmtree` follows no
    symlink, not even one that is put there while it works. Raises OSError."""
    folder = pod_folder(pods_dir, uid)
    for part in _PARTS:
        _remove_tree(folder / part, keep)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove_tree(tree: Path, keep: str) -> None:
    if not os.path.lexists(tree):
        return
    for point in mounts_below(tree):
        unmount(point)
    left = mounts_below(tree)
    if left:
        raise OSError(f"still mounted: {', '.join(left)}")
    if keep and (tree / keep).is_dir():
        for entry in tree.iterdir():
            if entry.name != keep:
                shutil.rmtree(entry)
    else:
        shutil.rmtree(tree)


def known(pods_dir: Path) -> set[str]:
    """Uids of the pods that have a folder of volumes."""
    try:
        with os.scandir(pods_dir) as entries:
            return {entry.name for entry in entries if _has_volumes(Path(entry.path))}
    except FileNotFoundError:
        return set()


def _has_volumes(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in _PARTS)
