"""What volumes take of the disk, counted as du(1) does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from podium.storage import usage


def test_a_tree_takes_its_blocks_and_a_file_of_two_names_once(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "deep" / "file", tmp_path / "again")
    (tmp_path / "link").symlink_to("/usr")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    found = usage.tree(str(tmp_path))
    du = subprocess.run(["du", "-s", "-B1", str(tmp_path)], capture_output=True, text=True, check=True)
    assert found.size == int(du.stdout.split()[0])
    assert found.files == 6


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert usage.tree(str(tmp_path / "gone")) == usage.Taken(0, 0)


def test_a_shared_disk_counts_what_lies_in_the_volume(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    found = usage.volume_stats("v", str(tmp_path), own=False)
    assert found["name"] == "v"
    assert 100_000 <= found["usedBytes"] < 200_000
    assert found["inodesUsed"] == 2
    assert found["capacityBytes"] >= found["availableBytes"] > 0
