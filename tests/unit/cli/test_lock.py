"""One command at a time brings a cluster up or down."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from podium.cli.lock import alone

HOLDS = (
    "import sys; from pathlib import Path; from podium.cli.lock import alone\n"
    "with alone(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"
)


def never() -> None:
    pytest.fail("nobody else holds it")


def test_a_second_command_says_that_it_waits_and_goes_on_after_the_first(tmp_path: Path) -> None:
    told = threading.Event()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"

        def second() -> None:
            with alone(tmp_path, told.set):
                pass

        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        first.kill()
        thread.join(10)
        assert not thread.is_alive()


def test_a_folder_that_was_purged_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    told, held, done = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with alone(folder, told.set):
            held.set()
            assert folder.is_dir()
            done.wait(10)

    thread = threading.Thread(target=second)
    with alone(folder, never):
        (folder / "cluster.json").touch()
        thread.start()
        assert told.wait(10)
        (folder / "cluster.json").unlink()
        folder.rmdir()
    assert held.wait(10)
    done.set()
    thread.join(10)


def test_nothing_is_left_of_a_command_that_did_nothing(tmp_path: Path) -> None:
    with alone(tmp_path / "data", never):
        assert (tmp_path / "data").is_dir()
    assert not (tmp_path / "data").exists()
    with alone(tmp_path / "data", never):
        (tmp_path / "data" / "cluster.json").touch()
    assert (tmp_path / "data" / "cluster.json").exists()
