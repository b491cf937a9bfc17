"""Claims' images on real loop devices: their size is all there is, one device each, nothing lost, nothing
left."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podium.storage.errors import VolumeError
from podium.storage.kernel import is_mount_point, unmount
from podium.storage.provisioner import filesystems, loop
from podium.storage.provisioner.images import MIB, Images, NoRoom
from podium.storage.provisioner.staging import Later, Staging

from ...conformance.waiting import eventually
from .claims import note, nothing_left

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    yield Images(tmp_path / "claims")
    nothing_left(tmp_path)


@pytest.fixture
def staging(images: Images) -> Staging:
    return Staging(images)


def fill(path: Path) -> int:
    """Writes until there is no room, and returns how many bytes there was room for."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left on device"):
        shutil.copyfileobj(_Endless(), file, MIB)
    return path.stat().st_size


class _Endless(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return b"x" * size


def no_devices(images: Images) -> None:
    """Whoever looks at a device just then keeps it from going for that moment."""
    eventually(lambda: devices(images), lambda found: found == [], 5, 0.01)


def devices(images: Images) -> list[str]:
    return [path for path in loop.backing_files().values() if path.startswith(str(images.root))]


@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
def test_a_full_claim_has_its_size_and_its_neighbours_room(
    images: Images, staging: Staging, fs_type: str
) -> None:
    full, other = note("pvc-1", fs_type=fs_type), note("pvc-2", fs_type=fs_type)
    images.make(full)
    images.make(other)
    written = fill(staging.mount("pvc-1") / "file")
    assert 16 * MIB < written <= 32 * MIB
    neighbour = staging.mount("pvc-2") / "file"
    neighbour.write_bytes(b"y" * MIB)
    assert neighbour.stat().st_size == MIB
    assert images.image("pvc-1").stat().st_size == 32 * MIB


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", ""])
def test_one_image_has_one_device_however_often_it_is_asked_for(
    images: Images, staging: Staging, fs_type: str
) -> None:
    images.make(note(fs_type=fs_type))
    if fs_type:
        staging.mount("pvc-1")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(_attached, [images.image("pvc-1")] * 8))
    assert len(found) == 1
    assert len(devices(images)) == 1


def _attached(image: Path) -> str:
    with loop.attach(image, autoclear=False) as device:
        return device.path


def test_another_process_finds_the_device_and_makes_no_second(images: Images, staging: Staging) -> None:
    images.make(note())
    staging.mount("pvc-1")
    (device,) = [key for key, path in loop.backing_files().items() if path == str(images.image("pvc-1"))]
    code = (
        "import sys; from pathlib import Path; from podium.storage.provisioner import loop\n"
        "print(loop.attach(Path(sys.argv[1]), autoclear=True).path)"
    )
    command = [sys.executable, "-c", code, str(images.image("pvc-1"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == device


def test_a_process_killed_while_it_holds_a_device_leaves_none(images: Images) -> None:
    images.make(note())
    code = (
        "import sys, signal; from pathlib import Path; from podium.storage.provisioner import loop\n"
        "held = loop.attach(Path(sys.argv[1]), autoclear=True); print(held.path, flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", code, str(images.image("pvc-1"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/dev/loop")
        process.send_signal(signal.SIGKILL)
    no_devices(images)


def test_the_device_goes_with_the_last_mount(images: Images, staging: Staging) -> None:
    images.make(note())
    target = staging.mount("pvc-1")
    assert staging.mount("pvc-1") == target
    (target / "kept").write_text("x")
    staging.release("pvc-1")
    assert not is_mount_point(target)
    no_devices(images)
    assert (staging.mount("pvc-1") / "kept").read_text() == "x"


def test_what_was_synced_is_there_after_the_mount_was_torn_away(images: Images, staging: Staging) -> None:
    images.make(note(fs_type="ext4"))
    target = staging.mount("pvc-1")
    with (target / "log").open("wb") as file:
        file.write(b"z" * MIB)
        os.fsync(file.fileno())
        unmount(str(target))
        assert (staging.mount("pvc-1") / "log").read_bytes() == b"z" * MIB
    staging.release("pvc-1")
    assert (staging.mount("pvc-1") / "log").read_bytes() == b"z" * MIB


def test_a_volume_grows_while_it_is_written_to(images: Images, staging: Staging) -> None:
    fs_type = filesystems.default(32 * MIB)
    images.make(note(fs_type=fs_type))
    target = staging.mount("pvc-1")
    with (target / "log").open("wb", buffering=0) as file:
        file.write(b"a" * MIB)
        assert staging.grow("pvc-1", 64 * MIB) == 64 * MIB
        file.write(b"b" * 40 * MIB)
    assert (target / "log").stat().st_size == 41 * MIB
    assert staging.grow("pvc-1", 48 * MIB) == 64 * MIB


def test_a_volume_that_nobody_uses_grows_too_and_stays_unused(images: Images, staging: Staging) -> None:
    images.make(note())
    assert staging.grow("pvc-1", 64 * MIB) == 64 * MIB
    no_devices(images)
    found = os.statvfs(staging.mount("pvc-1"))
    assert found.f_blocks * found.f_frsize > 50 * MIB


def test_what_cannot_grow_in_use_grows_at_its_next_mount(
    images: Images, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystems, "grows_mounted", lambda fs_type: False)
    images.make(note(fs_type="ext4"))
    (staging.mount("pvc-1") / "kept").write_text("x")
    with pytest.raises(Later):
        staging.grow("pvc-1", 64 * MIB)
    staging.release("pvc-1")
    target = staging.mount("pvc-1")
    found = os.statvfs(target)
    assert found.f_blocks * found.f_frsize > 50 * MIB
    assert (target / "kept").read_text() == "x"


def test_a_block_volume_is_a_device_of_its_size_that_grows(images: Images, staging: Staging) -> None:
    images.make(note(fs_type=""))
    device = staging.attach("pvc-1")
    assert staging.attach("pvc-1") == device
    assert _size(device) == 32 * MIB
    staging.grow("pvc-1", 64 * MIB)
    assert _size(device) == 64 * MIB
    staging.release("pvc-1")
    no_devices(images)


def _size(device: str) -> int:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def test_what_does_not_fit_is_refused_and_leaves_nothing(images: Images) -> None:
    with pytest.raises(NoRoom, match=r"^\d+Mi free of \d+Mi$"):
        images.make(note(size=1 << 60))
    assert images.names() == []
    assert list(images.root.iterdir()) == []


def test_what_is_being_made_is_promised_already(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    room = images.room()
    seen: list[int] = []
    monkeypatch.setattr(filesystems, "make", lambda *_: seen.append(room - images.room()))
    images.make(note("pvc-1", 1000 * MIB))
    assert seen[0] > 900 * MIB


def test_a_promise_counts_although_the_file_is_sparse(images: Images) -> None:
    room = images.room()
    images.make(note(size=1024 * MIB))
    assert images.image("pvc-1").stat().st_blocks * 512 < 100 * MIB
    assert room - images.room() > 900 * MIB
    with pytest.raises(NoRoom):
        images.lengthen("pvc-1", 1 << 60)


def test_a_lost_image_is_told_and_never_made_anew(images: Images, staging: Staging) -> None:
    images.make(note())
    images.image("pvc-1").unlink()
    with pytest.raises(VolumeError, match="the image of volume pvc-1 is not on this node"):
        staging.mount("pvc-1")
    assert not images.image("pvc-1").exists()


def test_half_made_and_half_removed_images_are_nobodys(images: Images) -> None:
    images.make(note())
    os.rename(images.folder("pvc-1"), images.root / ".trash-pvc-1")
    (images.root / ".new-pvc-2").mkdir()
    assert images.names() == []
    images.sweep()
    assert list(images.root.iterdir()) == []


def test_an_image_that_is_there_is_taken_as_it_is(images: Images, staging: Staging) -> None:
    images.make(note())
    (staging.mount("pvc-1") / "kept").write_text("x")
    assert images.make(note(size=64 * MIB)).size == 32 * MIB
    assert (staging.mount("pvc-1") / "kept").read_text() == "x"


def test_an_image_on_a_damaged_file_system_is_not_mounted(images: Images, staging: Staging) -> None:
    images.make(note(fs_type="ext4"))
    with images.image("pvc-1").open("r+b") as file:
        file.write(b"\0" * 8 * MIB)
    with pytest.raises(VolumeError, match="'fsck' found errors on device /dev/loop"):
        staging.mount("pvc-1")
    no_devices(images)
