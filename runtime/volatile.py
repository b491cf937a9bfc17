"""A folder in memory, for what a reboot has to empty: pins, sockets, FIFOs, containers' bundles.

Where /run is not kept in memory already, a pod would leave thirty short-lived files on the disk, whose file
system may take longer to find room for them than the kernel to make the pod's namespaces.
"""

from __future__ import annotations

from pathlib import Path

from podium.runtime import mounting

KIND = "tmpfs"


def ensure(folder: Path) -> None:
    """Mounts one at `folder`, unless it is in memory already or something is in it, which is left where it
    is. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if mounting.file_system(folder) == KIND or any(folder.iterdir()):
        return
    mounting.mount("podium", str(folder), KIND, mounting.MS_NOSUID | mounting.MS_NODEV, "mode=0755")


def release(folder: Path) -> None:
    """Gives it back, with all that is in it; what is not a mount of ours stays. Idempotent. Raises
    OSError."""
    if mounting.is_mounted(folder) and mounting.file_system(folder) == KIND:
        mounting.unmount(folder)
        folder.rmdir()
