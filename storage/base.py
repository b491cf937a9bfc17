"""What a volume type has to do, and what the volume manager gives it to do it with.

A plugin makes one volume available at one folder; what it mounts or writes lies in that folder, so that the
manager can take any volume away without knowing its type. Mounting is idempotent, and after a crash at any
step the next call finishes the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from podium.api.types import Obj
from podium.storage.errors import VolumeError, failed

__all__ = ["MountedVolume", "Plugin", "Request", "VolumeError", "failed"]


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """One volume, ready on this machine. `path` is the directory, file or block device that containers get;
    `mapped` tells that its files already belong to whom a pod with users of its own has."""

    path: str
    read_only: bool = False
    kind: Literal["dir", "file", "block"] = "dir"
    mapped: bool = False


class Request(NamedTuple):
    """One volume to mount: `source` is what stands in the pod's volume, or in the PersistentVolume that its
    claim is bound to, under the type's field name, `type`. `volume` is that PersistentVolume."""

    pod: Obj
    name: str
    type: str
    source: dict[str, Any]
    folder: Path
    volume: Obj | None = None
    read_only: bool = False

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"].get("namespace", ""))

    @property
    def is_block(self) -> bool:
        """Whether containers get the device rather than a file system on it."""
        return self.volume is not None and self.volume["spec"].get("volumeMode") == "Block"

    @property
    def fs_group(self) -> int | None:
        """The group that owns the volume's files, of the pod's securityContext."""
        group = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return int(group) if group is not None else None


class Plugin(Protocol):
    """One volume type, or several alike. `folder` is the type's folder name on disk, as kubelet spells it (""
    for a type that has none)."""

    def folder(self, type: str) -> str: ...

    async def mount(self, request: Request) -> MountedVolume:
        """Raises VolumeError, OSError."""
        ...

    async def release(self, uid: str) -> None:
        """Forgets what it keeps up to date for a pod; the manager removes the folders. Idempotent."""
        ...


def type_of(volume: Obj) -> str:
    """The field name of the volume's source: `configMap`, `emptyDir`, ... A volume without one is an
    emptyDir."""
    return next((field for field in volume if field != "name"), "emptyDir")
