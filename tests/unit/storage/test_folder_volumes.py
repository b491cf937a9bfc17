"""emptyDir and hostPath volumes, and how volumes go."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from podium.api.types.resources import SECRETS
from podium.storage.emptydir import huge_page_size, memory_size
from podium.storage.errors import VolumeError
from podium.storage.kernel import is_mount_point, mounts_below
from podium.storage.manager import VolumeManager

from .pods import UID, pod, secret
from .server import MemoryClient


def empty(**source: Any) -> dict[str, Any]:
    return {"name": "v", "emptyDir": source}


async def mount(manager: VolumeManager, volume: dict[str, Any], **spec: Any) -> Path:
    return Path((await manager.mount(pod(volume, **spec)))["v"].path)


async def test_an_empty_dir_is_everybodys_and_keeps_what_is_in_it(
    manager: VolumeManager, pods_dir: Path
) -> None:
    folder = await mount(manager, empty())
    assert folder == pods_dir / UID / "volumes" / "kubernetes.io~empty-dir" / "v"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    (folder / "kept").write_text("x")
    folder.chmod(0o700)
    assert await mount(manager, empty()) == folder
    assert (folder / "kept").read_text() == "x"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("medium", ["", "Memory"])
async def test_the_fs_group_owns_an_empty_dir_and_what_is_made_in_it(
    manager: VolumeManager, medium: str
) -> None:
    folder = await mount(manager, empty(medium=medium), securityContext={"fsGroup": 777})
    found = folder.stat()
    assert found.st_gid == 777
    assert found.st_mode & stat.S_ISGID
    assert found.st_mode & 0o777 == 0o777
    (folder / "file").touch()
    assert (folder / "file").stat().st_gid == 777


async def test_an_empty_dir_in_memory_ends_at_its_size_limit(manager: VolumeManager) -> None:
    folder = await mount(manager, empty(medium="Memory", sizeLimit="1Mi"))
    assert is_mount_point(folder)
    size = os.statvfs(folder)
    assert size.f_blocks * size.f_frsize == 1 << 20
    assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o777
    (folder / "kept").touch()
    assert await mount(manager, empty(medium="Memory", sizeLimit="1Mi")) == folder
    assert (folder / "kept").exists()


def test_memory_is_bounded_by_the_size_limit_and_by_the_pods_own() -> None:
    bounded = pod(containers=[{"name": n, "resources": {"limits": {"memory": "8Mi"}}} for n in "ab"])
    assert memory_size(bounded, None) == 16 << 20
    assert memory_size(bounded, "4Mi") == 4 << 20
    assert memory_size(pod(), "4Mi") == 4 << 20
    assert memory_size(pod(), None) is None


def test_huge_pages_have_the_size_that_is_asked_for() -> None:
    asking = pod(containers=[{"name": "c", "resources": {"requests": {"hugepages-2Mi": "4Mi"}}}])
    assert huge_page_size(asking, "HugePages") == "2M"
    assert huge_page_size(asking, "HugePages-1Gi") == "1G"
    with pytest.raises(VolumeError):
        huge_page_size(pod(), "HugePages")


async def test_an_unknown_medium_is_refused(manager: VolumeManager) -> None:
    with pytest.raises(VolumeError, match='unknown storage medium "Tape"'):
        await mount(manager, empty(medium="Tape"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("type", "path", "kind"),
    [
        ("", "dir", "dir"),
        ("", "file", "file"),
        ("", "missing", "dir"),
        ("Directory", "dir", "dir"),
        ("DirectoryOrCreate", "missing/deep", "dir"),
        ("File", "file", "file"),
        ("FileOrCreate", "missing", "file"),
        ("Socket", "socket", "file"),
        ("CharDevice", "/dev/null", "file"),
    ],
)
async def test_a_host_path_is_the_nodes_own(
    manager: VolumeManager, tmp_path: Path, type: str, path: str, kind: str
) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    _socket(tmp_path / "socket")
    wanted = tmp_path / path
    mounted = await manager.mount(pod({"name": "v", "hostPath": {"path": str(wanted), "type": type}}))
    assert (mounted["v"].path, mounted["v"].kind) == (str(wanted), kind)
    assert wanted.is_dir() == (kind == "dir")
    assert wanted.exists()


@pytest.mark.parametrize(
    ("type", "message"),
    [
        ("Directory", "hostPath type check failed: {} is not a directory"),
        ("DirectoryOrCreate", "hostPath type check failed: {} is not a directory"),
        ("Socket", "hostPath type check failed: {} is not a socket file"),
        ("CharDevice", "hostPath type check failed: {} is not a character device"),
        ("BlockDevice", "hostPath type check failed: {} is not a block device"),
        ("Nonsense", "Nonsense is an invalid volume type"),
    ],
)
async def test_a_host_path_of_another_type_is_refused(
    manager: VolumeManager, tmp_path: Path, type: str, message: str
) -> None:
    wanted = tmp_path / "file"
    wanted.touch()
    with pytest.raises(VolumeError) as failure:
        await manager.mount(pod({"name": "v", "hostPath": {"path": str(wanted), "type": type}}))
    assert failure.value.message.endswith(message.format(wanted))


async def test_a_host_path_that_must_be_there_is_not_made(manager: VolumeManager, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="is not a file"):
        await manager.mount(pod({"name": "v", "hostPath": {"path": str(tmp_path / "no"), "type": "File"}}))
    assert not (tmp_path / "no").exists()


async def test_unmounting_removes_everything_but_what_is_the_nodes(
    manager: VolumeManager, client: MemoryClient, pods_dir: Path, tmp_path: Path
) -> None:
    client.put(SECRETS, secret("s", a="1"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    mounted = await manager.mount(
        pod(
            empty(),
            {"name": "m", "emptyDir": {"medium": "Memory"}},
            {"name": "s", "secret": {"secretName": "s"}},
            {"name": "h", "hostPath": {"path": str(outside)}},
        )
    )
    os.symlink(outside, Path(mounted["v"].path) / "link")
    await manager.subpath(UID, "h", str(outside), "sub", container="c", index=0)
    assert await manager.known() == {UID}
    await manager.unmount(UID)
    await manager.unmount(UID)
    assert await manager.known() == set()
    assert not (pods_dir / UID).exists()
    assert mounts_below(pods_dir) == []
    assert sorted(os.listdir(outside)) == ["precious", "sub"]


async def test_a_volume_that_was_swapped_for_a_link_leads_nobody_astray(
    manager: VolumeManager, pods_dir: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    folder = await mount(manager, empty())
    folder.rmdir()
    folder.symlink_to(outside)
    await manager.unmount(UID)
    assert (outside / "precious").exists()
    assert not (pods_dir / UID).exists()


async def test_what_others_keep_in_the_pods_folder_stays(manager: VolumeManager, pods_dir: Path) -> None:
    await mount(manager, empty())
    (pods_dir / UID / "etc-hosts").touch()
    await manager.unmount(UID)
    assert os.listdir(pods_dir / UID) == ["etc-hosts"]


async def test_a_new_manager_takes_over_what_the_last_one_mounted(
    manager: VolumeManager, client: MemoryClient, pods_dir: Path
) -> None:
    folder = await mount(manager, empty(medium="Memory"))
    (folder / "kept").touch()
    successor = VolumeManager(client, node_name="n1", pods_dir=pods_dir)
    assert await successor.known() == {UID}
    assert await mount(successor, empty(medium="Memory")) == folder
    assert (folder / "kept").exists()
    await successor.unmount(UID)
    await successor.close()
    assert mounts_below(pods_dir) == []


@pytest.mark.parametrize("uid", ["", "..", "a/b"])
async def test_a_uid_never_leads_out_of_the_pods_folder(manager: VolumeManager, uid: str) -> None:
    with pytest.raises(ValueError, match="not a pod's uid"):
        await manager.unmount(uid)
