"""A subPath never leads out of its volume."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from podium.storage.errors import VolumeError
from podium.storage.kernel import mounts_below, unmount
from podium.storage.subpath import bind_subpath, open_subpath


def resolved(volume: str, subpath: str) -> str:
    descriptor = open_subpath(volume, subpath)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o770)
    return folder


def test_what_is_missing_is_made_with_the_permissions_of_the_volume(volume: Path) -> None:
    assert resolved(str(volume), "a/b") == str(volume / "a/b")
    assert stat.S_IMODE((volume / "a/b").stat().st_mode) == 0o770


def test_links_that_stay_inside_are_followed(volume: Path) -> None:
    (volume / "real").mkdir()
    (volume / "link").symlink_to("real")
    assert resolved(str(volume), "link/x") == str(volume / "real/x")


@pytest.mark.parametrize("target", ["/etc", "..", "../outside", "/proc/self/cwd"])
def test_links_that_lead_out_are_refused(volume: Path, target: str) -> None:
    (volume / "link").symlink_to(target)
    (volume.parent / "outside").mkdir()
    for path in ("link", "link/x"):
        with pytest.raises(VolumeError) as refusal:
            resolved(str(volume), path)
        assert refusal.value.reason == "CreateContainerConfigError"
    assert os.listdir(volume.parent / "outside") == []


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x"])
def test_paths_that_lead_out_are_refused(volume: Path, path: str) -> None:
    with pytest.raises(VolumeError, match="must be a relative path"):
        resolved(str(volume), path)


def test_a_dangling_link_is_not_followed_by_making_its_target(volume: Path) -> None:
    (volume / "link").symlink_to("missing")
    with pytest.raises(VolumeError):
        resolved(str(volume), "link")
    assert os.listdir(volume) == ["link"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_is_bound_stays_when_the_path_is_swapped(volume: Path, tmp_path: Path) -> None:
    target = tmp_path / "targets" / "0"
    file = tmp_path / "targets" / "1"
    try:
        (volume / "d").mkdir()
        (volume / "d" / "mine").touch()
        (volume / "f").write_text("text")
        assert bind_subpath(str(volume), "d", target) == str(target)
        assert bind_subpath(str(volume), "f", file) == str(file)
        assert file.read_text() == "text"
        (volume / "d").rename(volume / "old")
        (volume / "d").symlink_to("/etc")
        assert os.listdir(target) == ["mine"]
        (volume / "d").unlink()
        (volume / "d").mkdir()
        bind_subpath(str(volume), "d", target)
        bind_subpath(str(volume), "d", target)
        assert os.listdir(target) == []
        assert len(mounts_below(target)) == 1
    finally:
        for point in mounts_below(tmp_path):
            unmount(point)
