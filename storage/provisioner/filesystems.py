"""The file systems inside images: made, checked, mounted, grown. Everything blocks: call it in threads.

Growing is done on the mounted file system wherever the kernel allows it: it journals that, so that being
killed in the middle loses nothing. A mounted ext4 is grown by none but a process with CAP_SYS_RESOURCE,
which not every root has; xfs asks for no more than mounting does. So ext4 is the default where it can be
grown in use, and xfs elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from podium.storage.errors import VolumeError, failed

DEFAULT: Final = "ext4"
_MIB: Final = 1 << 20
_XFS_LEAST: Final = 16 * _MIB
_XFS_SMALL: Final = 300 * _MIB
_CAP_SYS_RESOURCE: Final = 24

# Nothing for the superuser alone; blocks of one size, however small a claim begins; a file of holes is zero
# already.
_MAKE: Final[dict[str, tuple[str, ...]]] = {
    "ext4": (
        "mkfs.ext4",
        "-q",
        "-F",
        "-m0",
        "-b4096",
        "-eremount-ro",
        "-Enodiscard,assume_storage_prezeroed=1",
    ),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
}
TYPES: Final = frozenset(_MAKE)
# e2fsck(8): 1 is repaired, 2 is repaired and would want a reboot if it were the machine's own.
_REPAIRED: Final = 3
_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_TIMEOUT: Final = 600.0


def default(size: int) -> str:
    """The type for a volume of `size` bytes whose class names none."""
    if not grows_mounted("ext4") and size >= _XFS_LEAST and _which("mkfs.xfs"):
        return "xfs"
    return "ext4"


def grows_mounted(fs_type: str) -> bool:
    """Whether this process may grow such a file system while it is in use."""
    return fs_type == "xfs" or bool(_capabilities() >> _CAP_SYS_RESOURCE & 1)


def make(target: Path | str, fs_type: str, size: int) -> None:
    """On `size` bytes. Raises VolumeError."""
    command = _MAKE[fs_type]
    if _which(command[0]) is None:
        raise failed(f"{command[0]} is not on this node: no volume of type {fs_type} can be made")
    # What it takes to be a small xfs; mkfs.xfs makes none below 300 MB otherwise.
    small = ("--unsupported",) if fs_type == "xfs" and size < _XFS_SMALL else ()
    _run(*command, *small, str(target))


def size_of(image: Path, fs_type: str) -> int:
    """Bytes that the file system in an image takes, as its superblock says; while it is mounted, that may
    be old.

    Sources: the kernel's documentation of ext4's and xfs's on-disk formats."""
    with image.open("rb") as file:
        start = file.read(2048)
    if fs_type == "xfs":
        return int.from_bytes(start[4:8], "big") * int.from_bytes(start[8:16], "big")
    block = start[1024:]
    count = int.from_bytes(block[4:8], "little") + (int.from_bytes(block[0x150:0x154], "little") << 32)
    return count * (1024 << int.from_bytes(block[0x18:0x1C], "little"))


def type_of(device: str) -> str:
    """The type of what is on a device, "" for nothing that is known. Raises VolumeError."""
    done = _call("blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "value", device)
    if done.returncode not in (0, 2):
        raise failed(f"blkid {device}: {_said(done)}")
    return done.stdout.strip().partition("\n")[0]


def repair(device: str, fs_type: str) -> None:
    """After an unclean end, before mounting. A device that is mounted anywhere is left alone. Raises
    VolumeError."""
    if not fs_type.startswith("ext") or _in_use(device):
        return
    done = _call("e2fsck", "-p", device)
    if done.returncode > _REPAIRED:
        raise failed(f"'fsck' found errors on device {device} but could not correct them: {_said(done)}")


def mount(source: str, target: Path, fs_type: str, options: Sequence[str] = ()) -> None:
    """By mount(8), which knows every option. Raises VolumeError."""
    chosen = ("-o", ",".join(options)) if options else ()
    done = _call("mount", "-t", fs_type, *chosen, source, str(target))
    if done.returncode:
        arguments = " ".join(("-t", fs_type, *chosen, source, str(target)))
        raise VolumeError(
            "FailedMount",
            f"mount failed: exit status {done.returncode}\nMounting command: mount\n"
            f"Mounting arguments: {arguments}\nOutput: {_said(done)}\n",
        )


def grow_unmounted(device: str, fs_type: str) -> None:
    """Lets an ext4 that is not mounted take all of its device. Raises VolumeError."""
    done = _call("e2fsck", "-f", "-p", device)
    if done.returncode > _REPAIRED:
        raise failed(f"'fsck' found errors on device {device} but could not correct them: {_said(done)}")
    _run("resize2fs", device)


def grow_mounted(device: str, target: Path, fs_type: str) -> None:
    """Lets the file system mounted at `target` take all of its device. Idempotent. Raises VolumeError."""
    if fs_type == "xfs":
        _run("xfs_growfs", "-d", str(target))
    else:
        _run("resize2fs", device)


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


def _in_use(device: str) -> bool:
    """The kernel lets nobody open for himself what is mounted."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError:
        return True
    return False


def _run(*command: str) -> None:
    done = _call(*command)
    if done.returncode:
        raise failed(f"{command[0]} failed: exit status {done.returncode}: {_said(done)}")


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    program = _which(command[0])
    if program is None:
        raise failed(f"{command[0]} is not on this node")
    try:
        return subprocess.run(
            (program, *command[1:]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise failed(f"{command[0]} did not end within {_TIMEOUT:.0f} s") from error


def _which(program: str) -> str | None:
    """Also where root has a user's PATH, after a plain `su`."""
    return shutil.which(program) or shutil.which(program, path=_PATH)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip())[-512:]
