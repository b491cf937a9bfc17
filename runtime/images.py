"""Images as pods see them: is one here, what does it say about its process, and if it is not here, get it.

containerd's store is the truth; what an image says is kept in memory by digest, since it cannot change.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from podium.runtime import references
from podium.runtime.archive import INDEXES, chain_ids, suits, unpack
from podium.runtime.containerd import Containerd, ContainerdError, NotFound

PATIENCE = 60.0
"""Seconds that a pull may make no progress."""

PULLED_AT_ONCE = 5

UNAVAILABLE = "RegistryUnavailable"
_NOT_YET = "server is not initialized yet"
_LOOKS = 6


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be run. `id` is its configuration's digest; `digests` its names by digest, if it came
    from a registry; `snapshot` the unpacked layers to start from ("" for an image without any)."""

    name: str
    id: str
    digests: tuple[str, ...]
    snapshot: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    stop_signal: str
    volumes: tuple[str, ...]
    size: int

    @property
    def status_id(self) -> str:
        """What a container's status calls `imageID`."""
        return self.digests[0] if self.digests else self.id


class PullError(Exception):
    """An image cannot be had. `reason` is a container's waiting reason, `str()` its message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ImageStore:
    """Images on this machine. Concurrent pulls of one image with the same credentials are one pull; `most`
    pulls are under way at once, and one that makes no progress for `patience` seconds is given up."""

    def __init__(
        self, containerd: Containerd, *, most: int = PULLED_AT_ONCE, patience: float = PATIENCE
    ) -> None:
        self._containerd = containerd
        self._patience = patience
        self._turns = asyncio.Semaphore(most)
        self._documents: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
        self._pulling: dict[tuple[str, str], asyncio.Task[float]] = {}
        self._finding: dict[str, asyncio.Task[Image | None]] = {}

    async def find(self, name: str) -> Image | None:
        """The image of that name, None when it is not here; asked for by many at once, it is looked for once.
        Raises PullError for what is no name."""
        task = self._finding.get(name)
        if task is None:
            task = self._finding[name] = asyncio.create_task(self._find(name), name=f"find {name}")
            task.add_done_callback(lambda _: self._finding.pop(name, None))
        return await asyncio.shield(task)

    async def _find(self, name: str) -> Image | None:
        reference = parse(name)
        record = await self._containerd.images.get(str(reference))
        if record is None and reference.digest:
            record = await self._by_digest(reference)
        if record is None:
            return None
        return await self._described(reference, record.target.digest, record.target.media_type)

    async def _by_digest(self, reference: references.Reference) -> Any:
        """What was imported has no name with its digest."""
        record = await self._containerd.images.get(f"{reference.repository}@{reference.digest}")
        if record is not None:
            return record
        same = await self._containerd.images.list(f"target.digest=={reference.digest}")
        named = (f"{reference.repository}:", f"{reference.repository}@")
        return next((each for each in same if each.name.startswith(named)), None)

    async def pull(self, name: str, auth: Mapping[str, str] | None = None) -> tuple[Image, float]:
        """Gets the image from its registry; returns it and how many seconds that took, without what it waited
        for its turn. Raises PullError."""
        full = str(parse(name))
        key = (full, json.dumps(dict(auth or {}), sort_keys=True))
        task = self._pulling.get(key)
        if task is None:
            task = asyncio.create_task(self._pull(full, auth), name=f"pull {full}")
            self._pulling[key] = task
            task.add_done_callback(lambda _: self._pulling.pop(key, None))
        try:
            took = await asyncio.shield(task)
        except ContainerdError as error:
            raise _failure(name, error) from error
        image = await self._find(name)
        if image is None:
            raise PullError("ErrImagePull", f"{full} was pulled, but is gone again")
        return image, took

    async def _pull(self, full: str, auth: Mapping[str, str] | None) -> float:
        loop = asyncio.get_running_loop()
        async with self._turns:
            began = loop.time()
            async with self._watched(full):
                await self._ask(full, auth)
            return loop.time() - began

    async def _ask(self, full: str, auth: Mapping[str, str] | None) -> None:
        """containerd's image service needs a moment after containerd has started."""
        for _ in range(50):
            try:
                await self._containerd.cri.pull(full, auth)
                return
            except ContainerdError as error:
                if _NOT_YET not in str(error):
                    raise
            await asyncio.sleep(0.1)
        raise ContainerdError(_NOT_YET)

    @contextlib.asynccontextmanager
    async def _watched(self, full: str) -> AsyncIterator[None]:
        """Cancels what makes no progress: a registry may take a request and never answer. Raises
        ContainerdError."""
        try:
            async with asyncio.timeout(None) as limit:
                watch = asyncio.create_task(self._watch(limit), name=f"progress of {full}")
                try:
                    yield
                finally:
                    watch.cancel()
        except TimeoutError as error:
            why = f"no progress for {self._patience:g}s: context canceled"
            raise ContainerdError(f'failed to pull and unpack image "{full}": {why}', "Canceled") from error

    async def _watch(self, limit: asyncio.Timeout) -> None:
        """containerd tells nobody how far it is: it has to be asked."""
        loop = asyncio.get_running_loop()
        seen, last = {"": 0}, loop.time()
        while True:
            await asyncio.sleep(self._patience / _LOOKS)
            try:
                arriving = await self._containerd.content.arriving()
                if arriving != seen or await self._containerd.snapshots.unpacking():
                    seen, last = arriving, loop.time()
            except ContainerdError:
                # It is away: what was asked of it has ended too.
                last = loop.time()
            if loop.time() - last >= self._patience:
                limit.reschedule(loop.time())
                return

    async def _described(self, reference: references.Reference, digest: str, media_type: str) -> Image | None:
        documents = self._documents.get(digest)
        if documents is None:
            try:
                documents = await self._read(digest, media_type)
            except NotFound:
                return None
            self._documents[digest] = documents
        manifest, config, named = documents
        image = _image(reference, manifest, config, await self._names(reference, digest, named))
        if image.snapshot and not await self._containerd.snapshots.exists(image.snapshot):
            async with self._containerd.leases.held() as lease:
                await unpack(self._containerd, manifest, config["rootfs"]["diff_ids"], lease)
        return image

    async def _read(self, digest: str, media_type: str) -> tuple[dict[str, Any], dict[str, Any], str]:
        """Manifest, configuration and the latter's digest, through an index if there is one."""
        document = json.loads(await self._containerd.content.read(digest))
        while media_type in INDEXES:
            child = next((each for each in document["manifests"] if suits(each.get("platform"))), None)
            if child is None:
                raise NotFound(f"{digest}: no manifest for this platform")
            media_type = child["mediaType"]
            document = json.loads(await self._containerd.content.read(child["digest"]))
        config_digest = document["config"]["digest"]
        return document, json.loads(await self._containerd.content.read(config_digest)), config_digest

    async def _names(
        self, reference: references.Reference, digest: str, config: str
    ) -> tuple[str, tuple[str, ...]]:
        """(id, names by digest): pulling leaves a record under the repository's name and the digest."""
        by_digest = f"{reference.repository}@{digest}"
        known = await self._containerd.images.get(by_digest)
        return config, (by_digest,) if known is not None else ()

    async def listed(self, limit: int) -> list[dict[str, Any]]:
        """A Node's `status.images`: names and sizes, the largest first."""
        images: list[dict[str, Any]] = [
            {"names": [*image.repo_digests, *image.repo_tags], "sizeBytes": int(image.size)}
            for image in await self._containerd.cri.list()
        ]
        return sorted(images, key=lambda image: image["sizeBytes"], reverse=True)[:limit]


def parse(name: str) -> references.Reference:
    """Raises PullError (InvalidImageName)."""
    try:
        return references.parse(name)
    except references.InvalidName as error:
        message = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": {error}'
        raise PullError("InvalidImageName", message) from error


def _failure(name: str, error: ContainerdError) -> PullError:
    """A runtime tells of a registry that is away in its own words."""
    text = str(error)
    if text.startswith(UNAVAILABLE):
        why = f"image pull failed for {name} because the registry is unavailable"
        return PullError(UNAVAILABLE, why + text.removeprefix(UNAVAILABLE))
    return PullError("ErrImagePull", error.rpc())


def _image(
    reference: references.Reference,
    manifest: dict[str, Any],
    config: dict[str, Any],
    names: tuple[str, tuple[str, ...]],
) -> Image:
    process = config.get("config") or {}
    chain = chain_ids(config.get("rootfs", {}).get("diff_ids") or [])
    blobs = [manifest["config"], *manifest["layers"]]
    return Image(
        name=f"{reference.repository}:{reference.tag}" if reference.tag else str(reference),
        id=names[0],
        digests=names[1],
        snapshot=chain[-1] if chain else "",
        entrypoint=tuple(process.get("Entrypoint") or ()),
        command=tuple(process.get("Cmd") or ()),
        env=tuple(process.get("Env") or ()),
        working_dir=process.get("WorkingDir") or "",
        user=process.get("User") or "",
        stop_signal=process.get("StopSignal") or "",
        volumes=tuple(process.get("Volumes") or ()),
        size=sum(blob["size"] for blob in blobs),
    )
