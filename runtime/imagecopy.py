"""A node that joins others on the same machine starts with the images that were imported into them: nobody
else has these, and its first pods should not have to wait."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from podium.runtime.archive import INDEXES, Document, import_image
from podium.runtime.containerd import Containerd, NotFound
from podium.runtime.containerd.content import Content

_CHUNK = 1 << 20


class _Folder:
    """Blobs as files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self, content: Content, digest: str) -> None:
        with (self._path / digest).open("wb") as file:
            async for piece in content.pieces(digest):
                file.write(piece)

    def blob(self, digest: str) -> bytes:
        return (self._path / digest).read_bytes()

    def chunks(self, digest: str) -> Iterator[bytes]:
        with (self._path / digest).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


async def copy(source: Containerd, target: Containerd) -> list[str]:
    """Copies what `target` lacks, layers unpacked; returns the names. What came from a registry as a list for
    several platforms is left to be pulled again: not all of it is here."""
    here = {image.name: image.target.digest for image in await target.images.list()}
    copied = []
    for image in await source.images.list():
        found = image.target
        if found.media_type in INDEXES or here.get(image.name) == found.digest or "/" not in image.name:
            continue
        manifest = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
        try:
            await _copy(source, target, image.name, manifest)
        except NotFound:
            # Removed meanwhile, or never here as a whole.
            continue
        copied.append(image.name)
    return copied


async def _copy(source: Containerd, target: Containerd, name: str, manifest: Document) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = _Folder(Path(path))
        await folder.fetch(source.content, manifest["digest"])
        document = json.loads(folder.blob(manifest["digest"]))
        for blob in (document["config"], *document["layers"]):
            await folder.fetch(source.content, blob["digest"])
        async with target.leases.held() as lease:
            await import_image(target, folder, name, manifest, lease)
