"""Images from files: OCI image layouts and `docker save` archives, plain or gzipped.

Blobs go to containerd's content store, names to its image store, and layers are unpacked at once, so that the
first pod starts as fast as the next. A lease holds everything until the image's name does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from podium.runtime import references
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.snapshots import OVERLAYFS
from podium.runtime.protos.types_pb2 import Descriptor

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

_CHUNK = 1 << 20
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

Document = dict[str, Any]


class ArchiveError(Exception):
    """The file is no image archive, or lacks something."""


def architecture() -> str:
    """This machine's architecture by Go's names, which images use."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


async def load(containerd: Containerd, path: str | Path) -> list[str]:
    """Imports every image of an archive; returns their full names. Loading one again changes nothing."""
    with _opened(Path(path)) as archive:
        reader = _Reader(archive)
        images = reader.oci_images() if reader.has("index.json") else reader.docker_images()
        if not images:
            raise ArchiveError(f"{path}: no image for {architecture()} in it")
        await containerd.ensure_namespace()
        async with containerd.leases.held() as lease:
            for name, manifest in images:
                await import_image(containerd, reader, name, manifest, lease)
    return [name for name, _ in images]


class Blobs(Protocol):
    """Where an image's parts are read from, by digest."""

    def blob(self, digest: str) -> bytes: ...

    def chunks(self, digest: str) -> Iterator[bytes]: ...


async def import_image(
    containerd: Containerd, reader: Blobs, name: str, manifest: Document, lease: str
) -> None:
    """Stores and unpacks the image of a manifest (its descriptor), then lets `name` stand for it."""
    document = json.loads(reader.blob(manifest["digest"]))
    config = json.loads(reader.blob(document["config"]["digest"]))
    diff_ids = config["rootfs"]["diff_ids"]
    for layer, diff_id in zip(document["layers"], diff_ids, strict=True):
        labels = {"containerd.io/uncompressed": diff_id}
        await _store(containerd, reader, layer, labels, lease)
    await unpack(containerd, document, diff_ids, lease)
    top = chain_ids(diff_ids)
    references_of_config = {f"containerd.io/gc.ref.snapshot.{OVERLAYFS}": top[-1]} if top else {}
    await _store(containerd, reader, document["config"], references_of_config, lease)
    labels = {"containerd.io/gc.ref.content.config": document["config"]["digest"]}
    for number, layer in enumerate(document["layers"]):
        labels[f"containerd.io/gc.ref.content.l.{number}"] = layer["digest"]
    await _store(containerd, reader, manifest, labels, lease)
    await containerd.images.put(name, _descriptor(manifest), lease=lease)


async def _store(
    containerd: Containerd, reader: Blobs, blob: Document, labels: dict[str, str], lease: str
) -> None:
    chunks = reader.chunks(blob["digest"])
    await containerd.content.write(blob["digest"], blob["size"], chunks, lease=lease, labels=labels)


def chain_ids(diff_ids: list[str]) -> list[str]:
    """What each layer together with those below it is called: the snapshots' names. Source: OCI image-spec,
    ChainID."""
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            joined = f"{chain[-1]} {diff_id}".encode()
            chain.append(f"sha256:{hashlib.sha256(joined).hexdigest()}")
        else:
            chain.append(diff_id)
    return chain


async def unpack(containerd: Containerd, manifest: Document, diff_ids: list[str], lease: str) -> None:
    """Makes the snapshots of an image whose layers are in the content store, as far as they are missing."""
    parent = ""
    snapshots = containerd.snapshots
    for layer, diff_id, chain_id in zip(manifest["layers"], diff_ids, chain_ids(diff_ids), strict=True):
        if not await snapshots.exists(chain_id):
            key = f"podium-unpack-{chain_id}"
            mounts = await snapshots.prepare(key, parent, lease=lease)
            applied = await snapshots.apply(_descriptor(layer), mounts)
            if applied != diff_id:
                await snapshots.remove(key)
                raise ArchiveError(f"layer {layer['digest']} unpacks to {applied} instead of {diff_id}")
            await snapshots.commit(chain_id, key, lease=lease)
        parent = chain_id


def _descriptor(blob: Document) -> Descriptor:
    return Descriptor(media_type=blob["mediaType"], digest=blob["digest"], size=blob["size"])


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, seekable: a gzipped one is unpacked into a temporary file first."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            with _tar(path, file) as archive:
                yield archive
            return
        file.seek(0)
        with gzip.open(file) as packed, tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(packed, plain, _CHUNK)
            plain.seek(0)
            with _tar(path, plain) as archive:
                yield archive


def _tar(path: Path, file: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")
    except tarfile.TarError as error:
        raise ArchiveError(f"{path}: not an image archive ({error})") from error


class _Reader:
    """Blobs of an archive by digest, wherever in it they lie."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members = {
            member.name.removeprefix("./"): member for member in archive.getmembers() if not member.isdir()
        }
        self._made: dict[str, bytes] = {}
        self._places: dict[str, str] = {}

    def has(self, name: str) -> bool:
        return name in self._members

    def file(self, name: str) -> tarfile.ExFileObject:
        member = self._members.get(name)
        opened = self._archive.extractfile(member) if member else None
        if not isinstance(opened, tarfile.ExFileObject):
            raise ArchiveError(f"{name} is missing in the archive")
        return opened

    def blob(self, digest: str) -> bytes:
        return self._made[digest] if digest in self._made else self.file(self._place(digest)).read()

    def chunks(self, digest: str) -> Iterator[bytes]:
        if digest in self._made:
            yield self._made[digest]
            return
        source = self.file(self._place(digest))
        while chunk := source.read(_CHUNK):
            yield chunk

    def _place(self, digest: str) -> str:
        return self._places.get(digest) or f"blobs/{digest.replace(':', '/', 1)}"

    def oci_images(self) -> list[tuple[str, Document]]:
        """(name, manifest's descriptor) of each image in an OCI layout that suits this machine."""
        images = []
        for entry in json.loads(self.file("index.json").read())["manifests"]:
            notes = entry.get("annotations") or {}
            name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name")
            manifest = self._suitable(entry)
            if name and manifest:
                images.append((str(references.parse(name)), manifest))
        return images

    def _suitable(self, entry: Document) -> Document | None:
        if entry["mediaType"] not in INDEXES:
            return entry
        for child in json.loads(self.blob(entry["digest"]))["manifests"]:
            if suits(child.get("platform")) and self.has(self._place(child["digest"])):
                return self._suitable(child)
        return None

    def docker_images(self) -> list[tuple[str, Document]]:
        """The same of a `docker save` archive, which has no manifests of the registry kind: they are made
        here."""
        if not self.has("manifest.json"):
            raise ArchiveError("neither index.json nor manifest.json is in the archive")
        images = []
        for entry in json.loads(self.file("manifest.json").read()):
            layers = [self._register(name, LAYER) for name in entry["Layers"]]
            config = self._register(entry["Config"], CONFIG)
            document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
            made = json.dumps(document).encode()
            digest = f"sha256:{hashlib.sha256(made).hexdigest()}"
            self._made[digest] = made
            manifest = {"mediaType": MANIFEST, "digest": digest, "size": len(made)}
            images += [(str(references.parse(tag)), manifest) for tag in entry.get("RepoTags") or ()]
        return images

    def _register(self, name: str, media_type: str) -> Document:
        """Makes a file known by its digest."""
        with self.file(name) as source:
            digest = f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"
        self._places[digest] = name
        return {"mediaType": media_type, "digest": digest, "size": self._members[name].size}


def suits(wanted: Document | None) -> bool:
    """Whether an image for a platform runs here."""
    return wanted is None or (wanted.get("os") == "linux" and wanted.get("architecture") == architecture())
