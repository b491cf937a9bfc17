"""Devices that containers get: block volumes, and everything for privileged ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from podium.api.types import Obj
from podium.runtime.interfaces import MountedVolume
from podium.runtime.oci.errors import ConfigError

# runc makes its own of these.
_SKIPPED = ("/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev")
_OWN = ("/dev/console", "/dev/ptmx")


def of(container: Obj, volumes: Mapping[str, MountedVolume]) -> tuple[Obj, ...]:
    """OCI `linux.devices` for a container. Blocks briefly. Raises ConfigError."""
    made = list(_volume_devices(container, volumes))
    if (container.get("securityContext") or {}).get("privileged"):
        made += _all("/dev")
    return tuple(made)


def _volume_devices(container: Obj, volumes: Mapping[str, MountedVolume]) -> Iterator[Obj]:
    for device in container.get("volumeDevices") or ():
        volume = volumes.get(device["name"])
        if volume is None or volume.kind != "block":
            raise ConfigError(f'volume "{device["name"]}" is not a block device')
        described = _described(volume.path, device["devicePath"])
        if described is None:
            raise ConfigError(f"{volume.path} is not a block device")
        if volume.read_only:
            described["fileMode"] &= 0o444
        yield described


def _all(folder: str) -> Iterator[Obj]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.path in _SKIPPED or entry.path in _OWN:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _all(entry.path)
            elif described := _described(entry.path, entry.path):
                yield described


def _described(source: str, target: str) -> Obj | None:
    try:
        status = os.stat(source, follow_symlinks=source != target)
    except OSError:
        return None
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c" if stat.S_ISCHR(status.st_mode) else ""
    if not kind:
        return None
    return {
        "path": target,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
