"""Loop devices: a file as a block device.

A file gets at most one device: whoever attaches it holds an exclusive flock(2) on the very description that
the kernel keeps open behind the device, so that the lock lives exactly as long as the device does, whatever
becomes of this process. Which device belongs to a file is read from the kernel (device and inode), never
remembered.

Source: loop(4), linux/loop.h."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import Final

from podium.storage.errors import failed

_SET_CAPACITY: Final = 0x4C07
_CLEAR: Final = 0x4C01
_GET_STATUS: Final = 0x4C05
_CONFIGURE: Final = 0x4C0A
_GET_FREE: Final = 0x4C82

_AUTOCLEAR: Final = 4
_DIRECT_IO: Final = 16

_LOOP_MAJOR: Final = 7
# struct loop_info64: device, inode, rdevice, offset, size limit; number, encryption, key size, flags;
# names, key, init. struct loop_config: fd, block size, loop_info64, eight reserved words.
_INFO: Final = struct.Struct("<5Q4I64s64s32s2Q")
_CONFIG: Final = struct.Struct(f"<2I{_INFO.size}s64x")

_CONTROL: Final = "/dev/loop-control"
_TRIES: Final = 64


class Attached:
    """An attached device, held open: while it is, a device that clears itself does not."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def refresh_size(self) -> None:
        """After the file has grown. Raises OSError."""
        fcntl.ioctl(self._descriptor, _SET_CAPACITY, 0)

    def detach(self) -> None:
        """At once, or when its last user lets go. Raises OSError."""
        fcntl.ioctl(self._descriptor, _CLEAR, 0)


def attach(image: Path, *, autoclear: bool) -> Attached:
    """The device of `image`, made if there is none. With `autoclear` it goes when nobody has it open or
    mounted any more; without, `detach` is the only end. Raises VolumeError while another process is
    attaching it, OSError."""
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            if (found := find(image)) is not None:
                return found
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Its device may have appeared, or be on its way out, since the look.
                continue
            if (made := _configure(descriptor, image, autoclear)) is not None:
                return made
    finally:
        os.close(descriptor)
    raise failed(f"{image} is held by another process")


def find(image: Path) -> Attached | None:
    """The device of `image`, if it has one. Raises OSError."""
    wanted = image.stat()
    # Others' devices are not opened: held for a moment, they would not clear themselves when they should.
    ending = os.path.join("", *image.resolve().parts[-2:])
    for path, backing in backing_files().items():
        if not backing.endswith(ending):
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        if _backing(descriptor) == (wanted.st_dev, wanted.st_ino):
            return Attached(path, descriptor)
        os.close(descriptor)
    return None


def backing_files() -> dict[str, str]:
    """The devices in use and the path of the file behind each, as it was when it was attached."""
    found = {}
    for name in _in_use():
        try:
            path = Path(f"/sys/block/{name}/loop/backing_file").read_text().rstrip("\n")
        except OSError:
            continue
        found[f"/dev/{name}"] = path.removesuffix(" (deleted)")
    return found


def detach(path: str) -> None:
    """Idempotent. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    with Attached(path, descriptor) as device:
        if _backing(descriptor) is not None:
            device.detach()


def _configure(image: int, name: Path, autoclear: bool) -> Attached | None:
    """None where somebody else took the free device first."""
    path = _free()
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    flags = _DIRECT_IO | (_AUTOCLEAR if autoclear else 0)
    try:
        info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, os.fsencode(name)[-63:], b"", b"", 0, 0)
        fcntl.ioctl(device, _CONFIGURE, bytearray(_CONFIG.pack(image, 0, info)))
    except OSError as error:
        os.close(device)
        if error.errno in (errno.EBUSY, errno.ENXIO):
            return None
        raise
    return Attached(path, device)


def _free() -> str:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)
    path = f"/dev/loop{number}"
    if not os.path.exists(path):
        # A /dev that is not the kernel's own knows of no new device by itself.
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_LOOP_MAJOR, number))
    return path


def _in_use() -> list[str]:
    with os.scandir("/sys/block") as entries:
        names = [entry.name for entry in entries if entry.name.startswith("loop")]
    return [name for name in names if os.path.isdir(f"/sys/block/{name}/loop")]


def _backing(descriptor: int) -> tuple[int, int] | None:
    """(device, inode) of the file behind an open device."""
    answer = bytearray(_INFO.size)
    try:
        fcntl.ioctl(descriptor, _GET_STATUS, answer)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    fields = _INFO.unpack(answer)
    return int(fields[0]), int(fields[1])
