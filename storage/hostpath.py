"""hostPath volumes: a path of the node as it is, after a look at what it is.

Source: API reference, HostPathVolumeSource."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import failed

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


_OPTIONS = "MountVolume.MountOptionSupport check"


class HostPathPlugin(Plugin):
    def folder(self, type: str) -> str:
        return ""

    async def mount(self, request: Request) -> MountedVolume:
        if request.volume is not None and request.volume["spec"].get("mountOptions"):
            raise failed("Mount options are not supported for this volume type", _OPTIONS)
        path = Path(str(request.source["path"]))
        kind = await asyncio.to_thread(_check, path, str(request.source.get("type") or ""))
        return MountedVolume(str(path), kind=kind)

    async def release(self, uid: str) -> None:
        """Nothing is kept, and nothing of the node's is removed."""


def _check(path: Path, type: str) -> Literal["dir", "file", "block"]:
    """Makes the path where its type says so, and says what it is. Raises VolumeError, OSError."""
    if type and type not in _CHECKS:
        raise failed(f"{type} is an invalid volume type")
    if not path.exists():
        _create(path, type)
    mode = path.stat().st_mode if path.exists() else 0
    if type:
        holds, noun = _CHECKS[type]
        if not holds(mode):
            raise failed(f"hostPath type check failed: {path} is not a {noun}")
    if stat.S_ISBLK(mode):
        return "block"
    return "dir" if stat.S_ISDIR(mode) or not mode else "file"


def _create(path: Path, type: str) -> None:
    """Without a type, what is not there becomes a directory, as container runtimes make a missing bind
    source."""
    if type in ("", "DirectoryOrCreate"):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif type == "FileOrCreate":
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o644))
