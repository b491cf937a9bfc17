"""Who owns a volume's files: the pod's fsGroup, and the user that all its containers run as.

Source: "Configure a Security Context for a Pod or Container": the group gets the files, read (and write where
the volume is writable), and directories hand their group down (setgid)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from podium.api.types import Obj

_WRITABLE = 0o660
_READABLE = 0o440
_DIRECTORY = 0o110 | stat.S_ISGID


def group_mode(mode: int, *, read_only: bool) -> int:
    """The permission bits of a file or directory (a full st_mode) once its group is the fsGroup."""
    wanted = _READABLE if read_only else _WRITABLE
    if stat.S_ISDIR(mode):
        wanted |= _DIRECTORY
    return stat.S_IMODE(mode) | wanted


def give_to_group(root: Path, group: int, *, read_only: bool) -> None:
    """Everything in and below `root`, contents before their directory. Symlinks change hands, what they point
    at does not. Descriptors all the way down, so that a container that swaps a directory for a link gains
    nothing."""
    for _, directories, files, descriptor in os.fwalk(root, topdown=False, follow_symlinks=False):
        for name in (*files, *directories):
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            os.chown(name, -1, group, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(mode):
                os.chmod(name, group_mode(mode, read_only=read_only), dir_fd=descriptor)
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, group_mode(os.fstat(descriptor).st_mode, read_only=read_only))


def give_to_pod(pod: Obj, root: str) -> None:
    """A volume's files to the pod's fsGroup, if it has one: all of them, or with fsGroupChangePolicy
    OnRootMismatch only where the root says that they are not yet. Raises OSError."""
    context = pod["spec"].get("securityContext") or {}
    group = context.get("fsGroup")
    if group is None:
        return
    if context.get("fsGroupChangePolicy") == "OnRootMismatch" and _belongs_to(os.stat(root), int(group)):
        return
    give_to_group(Path(root), int(group), read_only=False)


def nothing(root: str) -> None:
    """For a volume that nobody can write to."""


def _belongs_to(root: os.stat_result, group: int) -> bool:
    mode = stat.S_IMODE(root.st_mode)
    return root.st_gid == group and group_mode(root.st_mode, read_only=False) == mode


def common_user(pod: Obj) -> int | None:
    """The user that every container of the pod is told to run as, if it is one and the same."""
    spec = pod["spec"]
    default = (spec.get("securityContext") or {}).get("runAsUser")
    users = {
        (container.get("securityContext") or {}).get("runAsUser", default)
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field) or ()
    }
    return users.pop() if len(users) == 1 else None
