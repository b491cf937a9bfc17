"""containerd as Podium runs it, and images from archives."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import signal
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from podium.runtime.archive import ArchiveError, chain_ids, load
from podium.runtime.containerd import Containerd, NotFound
from podium.runtime.containerd.process import OwnContainerd, Paths, listener
from podium.runtime.images import ImageStore, PullError
from tests.unit.runtime import busybox
from tests.unit.runtime.conftest import needs_root

pytestmark = needs_root


@pytest.fixture
async def containerd(node_containerd: str) -> AsyncIterator[Containerd]:
    client = Containerd(node_containerd)
    yield client
    await client.close()


@pytest.fixture
def paths() -> Iterator[Paths]:
    with tempfile.TemporaryDirectory(prefix="podium-", ignore_cleanup_errors=True) as folder:
        yield Paths(Path(folder) / "root", Path(folder) / "run")


async def test_a_containerd_that_runs_is_found_again(paths: Paths) -> None:
    first = OwnContainerd(paths)
    pid = await first.ensure()
    try:
        assert listener(paths.socket) == pid
        assert await OwnContainerd(paths).ensure() == pid
        ended = asyncio.create_task(first.ended())
        os.kill(pid, signal.SIGKILL)
        await ended
        assert await first.ensure() != pid
    finally:
        await first.stop()
    assert first.pid() is None


async def test_an_own_containerd_ends_when_told(paths: Paths) -> None:
    own = OwnContainerd(paths)
    await own.ensure()
    await own.stop()
    await own.stop()
    assert listener(paths.socket) is None


async def test_an_oci_archive_becomes_an_image(containerd: Containerd, tmp_path: Path) -> None:
    busybox.write(tmp_path / "a.tar", "example.com/made:1", Cmd=["sh"], User="alice", StopSignal="SIGQUIT")
    assert await load(containerd, tmp_path / "a.tar") == ["example.com/made:1"]
    image = await ImageStore(containerd).find("example.com/made:1")
    assert image is not None
    assert (image.command, image.user, image.stop_signal) == (("sh",), "alice", "SIGQUIT")
    assert await containerd.snapshots.exists(image.snapshot)


async def test_loading_again_and_gzipped_changes_nothing(containerd: Containerd, tmp_path: Path) -> None:
    busybox.write(tmp_path / "a.tar", "example.com/again:1", Cmd=["sh"])
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes(), 1))
    assert await load(containerd, tmp_path / "a.tar") == await load(containerd, tmp_path / "a.tar.gz")


async def test_a_docker_archive_becomes_an_image(containerd: Containerd, tmp_path: Path) -> None:
    layer = busybox.layer()
    config = {
        "architecture": "any",
        "os": "linux",
        "config": {"Entrypoint": ["echo"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "c.json", "RepoTags": ["dock:2"], "Layers": ["l/layer.tar"]}]
    with tarfile.open(tmp_path / "d.tar", "w") as archive:
        for name, data in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("c.json", json.dumps(config).encode()),
            ("l/layer.tar", layer),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert await load(containerd, tmp_path / "d.tar") == ["docker.io/library/dock:2"]
    image = await ImageStore(containerd).find("dock:2")
    assert image is not None
    assert image.entrypoint == ("echo",)


async def test_what_is_no_archive_is_refused(containerd: Containerd, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nonsense")
    with pytest.raises(ArchiveError, match="not an image archive"):
        await load(containerd, tmp_path / "x")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ArchiveError, match=r"neither index\.json nor manifest\.json"):
        await load(containerd, tmp_path / "empty.tar")


async def test_an_image_that_is_not_here_is_none_and_a_bad_name_an_error(containerd: Containerd) -> None:
    images = ImageStore(containerd)
    assert await images.find("example.com/none:1") is None
    with pytest.raises(PullError) as failure:
        await images.find("Bad Name")
    assert failure.value.reason == "InvalidImageName"


async def test_what_is_not_there_is_not_found(containerd: Containerd) -> None:
    with pytest.raises(NotFound):
        await containerd.containers.get("none")
    assert await containerd.tasks.get("none") is None
    assert await containerd.tasks.delete("none") is None
    assert await containerd.tasks.kill("none", signal.SIGTERM) is False


async def test_a_subscription_says_when_nothing_can_be_missed(containerd: Containerd) -> None:
    events = containerd.events.exits()
    assert await anext(events) is None
    await events.aclose()  # type: ignore[attr-defined]


def test_chain_ids_follow_the_image_specification() -> None:
    joined = hashlib.sha256(b"sha256:a sha256:b").hexdigest()
    assert chain_ids(["sha256:a", "sha256:b"]) == ["sha256:a", f"sha256:{joined}"]


async def test_short_blocks_share_a_lease(containerd: Containerd) -> None:
    await containerd.ensure_namespace()
    async with containerd.leases.shared() as first, containerd.leases.shared() as second:
        assert first == second
    async with containerd.leases.shared() as third:
        assert third == first
    with pytest.raises(ZeroDivisionError):
        async with containerd.leases.shared():
            raise ZeroDivisionError
    async with containerd.leases.shared() as fourth:
        assert fourth != first
