"""Images on a real containerd: out of archives good and bad, out of registries that do not answer, and away
again."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from podium.api.types.resources import EVENTS
from podium.runtime import imagefolder
from podium.runtime.archive import ArchiveError, load
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.process import OwnContainerd, Paths
from podium.runtime.imagegc import ImageCollector
from podium.runtime.imageremoval import remove
from podium.runtime.images import ImageStore, PullError
from podium.runtime.pulling.garbage import ImageGarbage
from podium.runtime.pulling.records import PullRecords
from tests.unit.runtime import busybox
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.world import World

pytestmark = needs_root
Seen = TypeVar("Seen")


@pytest.fixture
async def containerd(node_containerd: str) -> AsyncIterator[Containerd]:
    client = Containerd(node_containerd)
    yield client
    await client.close()


def written(folder: Path, name: str) -> Path:
    path = folder / "image.tar"
    busybox.write(path, name, Cmd=["sh"], Env=[f"NAME={name}"])
    return path


async def test_the_folder_of_an_image_layout_becomes_an_image(containerd: Containerd, tmp_path: Path) -> None:
    with tarfile.open(written(tmp_path, "example.com/folder:1")) as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    assert await load(containerd, tmp_path / "layout") == ["example.com/folder:1"]
    image = await ImageStore(containerd).find("example.com/folder:1")
    assert image is not None
    record = await containerd.images.get("example.com/folder:1")
    assert record is not None
    # What was imported by a tag is known by its digest too.
    same = await ImageStore(containerd).find(f"example.com/folder@{record.target.digest}")
    assert same is not None
    assert same.id == image.id


async def test_layers_of_a_docker_archive_may_be_packed_and_shared_by_links(
    containerd: Containerd, tmp_path: Path
) -> None:
    layer = busybox.layer()
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {"os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = [{"Config": "c.json", "RepoTags": ["linked:1", "linked:2"], "Layers": ["b/layer.tar"]}]
    with tarfile.open(tmp_path / "d.tar", "w") as archive:
        for name, data in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("c.json", json.dumps(config).encode()),
            ("a/layer.tar", gzip.compress(layer, 1)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("b/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
        archive.addfile(link)
    names = ["docker.io/library/linked:1", "docker.io/library/linked:2"]
    assert await load(containerd, tmp_path / "d.tar") == names
    assert await ImageStore(containerd).find("linked:2") is not None


@pytest.mark.parametrize("left", [300_000, 5_000, 700])
async def test_an_archive_that_is_cut_off_is_refused(
    containerd: Containerd, tmp_path: Path, left: int
) -> None:
    path = written(tmp_path, "example.com/cut:1")
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ArchiveError, match=r"image\.tar: (incomplete|no image|damaged|not an image)"):
        await load(containerd, path)
    assert await containerd.images.get("example.com/cut:1") is None


async def test_a_blob_that_is_not_what_its_digest_says_is_refused(
    containerd: Containerd, tmp_path: Path
) -> None:
    with tarfile.open(written(tmp_path, "example.com/damaged:1")) as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    config, *_ = sorted((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    config.write_bytes(config.read_bytes().replace(b"linux", b"LINUX"))
    with pytest.raises(ArchiveError, match="layout: damaged"):
        await load(containerd, tmp_path / "layout")
    assert await containerd.images.get("example.com/damaged:1") is None


async def test_a_layer_that_is_not_what_its_digest_says_is_refused(
    containerd: Containerd, tmp_path: Path
) -> None:
    layer = b"not a layer" * 1000
    config = json.dumps(
        {"os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]}}
    ).encode()
    manifest = json.dumps({
        "config": described(config), "layers": [{**described(layer), "digest": f"sha256:{'1' * 64}"}],
    }).encode()  # fmt: skip
    entry = {**described(manifest), "annotations": {"io.containerd.image.name": "example.com/damaged:2"}}
    blobs = tmp_path / "layout/blobs/sha256"
    blobs.mkdir(parents=True)
    (tmp_path / "layout/index.json").write_text(json.dumps({"manifests": [entry]}))
    for data in (config, manifest):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (blobs / ("1" * 64)).write_bytes(layer)
    with pytest.raises(ArchiveError, match="layout: damaged: unexpected commit digest"):
        await load(containerd, tmp_path / "layout")


def described(data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": len(data)}


async def test_a_name_goes_and_with_the_last_one_the_image(containerd: Containerd, tmp_path: Path) -> None:
    await load(containerd, written(tmp_path, "example.com/going:1"))
    assert await remove(containerd, "example.com/going:1", dry=True)
    assert await containerd.images.get("example.com/going:1") is not None
    assert await remove(containerd, "example.com/going:1")
    assert not await remove(containerd, "example.com/going:1")
    assert await ImageStore(containerd).find("example.com/going:1") is None


async def test_a_folder_is_followed_from_what_is_in_it_to_what_comes(
    containerd: Containerd, tmp_path: Path
) -> None:
    folder, lock = tmp_path / "images", tmp_path / "lock"
    folder.mkdir()
    (folder / "bad.tar").write_bytes(b"nothing")
    written(tmp_path, "example.com/first:1").rename(folder / "first.tar")
    following = asyncio.create_task(imagefolder.follow(folder, containerd, lock))
    try:
        await there(containerd, "example.com/first:1")
        written(tmp_path, "example.com/second:1").rename(folder / ".hidden.tar")
        written(tmp_path, "example.com/third:1").rename(folder / "third.tar")
        await there(containerd, "example.com/third:1")
        assert await containerd.images.get("example.com/second:1") is None
    finally:
        following.cancel()


async def there(containerd: Containerd, name: str) -> None:
    """Returns when there is such an image."""
    await until(partial(containerd.images.get, name))


@asynccontextmanager
async def silent_registry() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """One that takes requests and never answers, and when it got the first."""
    asked = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        try:
            while await reader.read(1024):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_a_pull_that_makes_no_progress_is_given_up(containerd: Containerd) -> None:
    async with silent_registry() as (address, _):
        with pytest.raises(PullError, match=r"no progress for 0\.6s: context canceled") as failure:
            await ImageStore(containerd, patience=0.6).pull(f"{address}/song:1")
    assert failure.value.reason == "ErrImagePull"
    assert str(failure.value).startswith(
        f'rpc error: code = Canceled desc = failed to pull and unpack image "{address}/song:1"'
    )


async def test_no_more_pulls_are_under_way_than_may_be(containerd: Containerd) -> None:
    images = ImageStore(containerd, most=1, patience=0.6)
    async with silent_registry() as (first, asked), silent_registry() as (second, asked_too):
        one = asyncio.create_task(images.pull(f"{first}/song:1"))
        await asked.wait()
        other = asyncio.create_task(images.pull(f"{second}/song:1"))
        with pytest.raises(PullError):
            await one
        # Both wait for as long; had the second not waited for the first, it would be over too.
        assert not other.done()
        await asked_too.wait()
        with pytest.raises(PullError):
            await other


async def test_one_pull_is_shared_by_who_shows_the_same_credentials(containerd: Containerd) -> None:
    images = ImageStore(containerd, patience=0.6)
    async with silent_registry() as (address, _):
        names = (None, None, {"username": "ann", "password": "p"})
        one, same, other = await asyncio.gather(
            *(images.pull(f"{address}/song:1", auth) for auth in names), return_exceptions=True
        )
    assert isinstance(one, PullError)
    assert isinstance(same, PullError)
    assert isinstance(other, PullError)
    assert one.__cause__ is same.__cause__
    assert one.__cause__ is not other.__cause__


async def test_a_full_disk_is_relieved_of_images_that_nobody_uses(world: World, tmp_path: Path) -> None:
    containerd = world.daemon.containerd
    await load(containerd, written(tmp_path, "example.com/spare:1"))
    # containerd's image service hears of it a moment later.
    status = await until(partial(containerd.cri.status, "example.com/spare:1"))
    others = {image.name for image in await containerd.images.list()} - {"example.com/spare:1", status.id}
    room = [100 << 30, 10 << 30]
    records = PullRecords(tmp_path / "records")
    records.put({"imageRef": status.id, "credentialMapping": {}})
    collector = ImageCollector(
        ImageGarbage(minimum_age=0), containerd, records, world.daemon.recorder, "n1",
        used=lambda: others, room=lambda: (room[0], room[1]), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    await collector.look()
    await collector.look()
    assert await containerd.images.get("example.com/spare:1") is None
    assert await containerd.images.get("docker.io/library/busybox:latest") is not None
    assert records.get(status.id) is None
    reasons = await told(world, {"FreeDiskSpaceFailed", "ImageGCFailed"})
    assert reasons["ImageGCFailed"].startswith(
        "Insufficient free disk space on the node's image filesystem (90%"
    )


async def told(world: World, wanted: set[str]) -> dict[str, str]:
    """The messages of the node's events, as soon as all these reasons are among them."""

    async def look() -> dict[str, str] | None:
        events = (await world.client.list(EVENTS, "default")).items
        found = {str(event["reason"]): str(event["message"]) for event in events}
        return found if wanted <= found.keys() else None

    return await until(look)


async def until(look: Callable[[], Awaitable[Seen | None]]) -> Seen:
    """What it returns that is not None. containerd does not say when it is that far."""
    async with asyncio.timeout(15):
        while True:
            if (found := await look()) is not None:
                return found
            await asyncio.sleep(0.05)


async def test_a_registry_is_reached_as_its_hosts_file_says(tmp_path: Path) -> None:
    requests: asyncio.Queue[str] = asyncio.Queue()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.put_nowait((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    folder = Path(tempfile.mkdtemp(prefix="podium-"))
    own = OwnContainerd(Paths(folder / "root", folder / "run"), registries=str(tmp_path))
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    (tmp_path / "registry.test").mkdir()
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "registry.test/hosts.toml").write_text(
        f'[host."http://127.0.0.1:{port}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    client = Containerd(own.paths.socket)
    try:
        await own.ensure()
        async with server:
            pulling = asyncio.create_task(ImageStore(client).pull("registry.test/band/song:1"))
            async with asyncio.timeout(20):
                assert await requests.get() == "HEAD /v2/band/song/manifests/1?ns=registry.test HTTP/1.1\r\n"
            pulling.cancel()
    finally:
        await client.close()
        await own.stop()
        shutil.rmtree(folder, ignore_errors=True)
