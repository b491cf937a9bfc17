"""Images from files: OCI image layouts, as archives or folders, and `docker save` archives, plain or packed.

Blobs go to containerd's content store, names to its image store, and layers are unpacked at once, so that the
first pod starts as fast as the next. A lease holds everything until the image's name does.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import platform
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from podium.runtime import references
from podium.runtime.containerd import Containerd
from podium.runtime.containerd.errors import Conflict
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


_DAMAGES = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, KeyError, TypeError)
"""What reading a file that is damaged, or something else altogether, may end in."""


async def load(containerd: Containerd, path: str | Path) -> list[str]:
    """Imports every image of an archive or layout; returns their full names. Again, it changes nothing.
    Raises ArchiveError, ContainerdError, OSError."""
    try:
        with _opened(Path(path)) as reader:
            images = _images(reader)
            await containerd.ensure_namespace()
            async with containerd.leases.held() as lease:
                for name, manifest in images:
                    await import_image(containerd, reader, name, manifest, lease)
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error}") from error
    except Conflict as error:
        raise ArchiveError(f"{path}: damaged: {error}") from error
    except _DAMAGES as error:
        raise ArchiveError(f"{path}: incomplete or damaged ({error})") from error
    return [name for name, _ in images]


def _images(reader: _Reader) -> list[tuple[str, Document]]:
    """(name, manifest's descriptor) of each. Raises ArchiveError."""
    images = reader.oci_images() if reader.has("index.json") else reader.docker_images()
    if not images:
        raise ArchiveError(f"no image for {architecture()} that has a name in it")
    return images


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
def _opened(path: Path) -> Iterator[_Reader]:
    """The archive or folder. What is compressed is unpacked into a temporary file first, to be seekable."""
    if path.is_dir():
        yield _Reader(_Folder(path))
        return
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        unpacked = next((each for start, each in _PACKED.items() if magic.startswith(start)), None)
        if unpacked is None:
            with _tar(file) as archive:
                yield _Reader(_Tar(archive))
            return
        with tempfile.TemporaryFile() as plain:
            unpacked(file, plain)
            plain.seek(0)
            with _tar(plain) as archive:
                yield _Reader(_Tar(archive))


def _tar(file: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")
    except tarfile.TarError as error:
        raise ArchiveError(f"not an image archive ({error})") from error


def _with(opened: Callable[[IO[bytes]], Any]) -> Callable[[IO[bytes], IO[bytes]], None]:
    def unpack(packed: IO[bytes], plain: IO[bytes]) -> None:
        try:
            with opened(packed) as source:
                shutil.copyfileobj(source, plain, _CHUNK)
        except OSError as error:
            # What these modules raise for what is not theirs.
            raise ArchiveError(f"incomplete or damaged ({error})") from error

    return unpack


def _zstd(packed: IO[bytes], plain: IO[bytes]) -> None:
    program = shutil.which("zstd")
    if program is None:
        raise ArchiveError("compressed with zstd, which is not installed here: unpack it first")
    done = subprocess.run([program, "-dc"], stdin=packed, stdout=plain, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise ArchiveError(f"incomplete or damaged ({done.stderr.decode(errors='replace').strip()})")


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PACKED: dict[bytes, Callable[[IO[bytes], IO[bytes]], None]] = {
    _GZIP: _with(gzip.open),
    b"BZh": _with(bz2.open),
    b"\xfd7zXZ\x00": _with(lzma.open),
    _ZSTD: _zstd,
}


class _Files(Protocol):
    """Files by their paths in an archive. `open` raises ArchiveError for one that is missing."""

    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> IO[bytes]: ...


class _Tar:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members = {
            member.name.removeprefix("./"): member for member in archive.getmembers() if not member.isdir()
        }

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        opened = self._archive.extractfile(member) if member else None
        if opened is None:
            raise ArchiveError(f"incomplete or no image archive: {name} is missing in it")
        return opened


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        """What leads out of the folder is none of its files."""
        path = (self._path / name).resolve()
        if not path.is_relative_to(self._path.resolve()) or not path.is_file():
            raise ArchiveError(f"incomplete or no image layout: {name} is missing in it")
        return path.open("rb")


class _Reader:
    """Blobs of an archive by digest, wherever in it they lie."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._made: dict[str, bytes] = {}
        self._places: dict[str, str] = {}

    def has(self, name: str) -> bool:
        return self._files.has(name)

    def file(self, name: str) -> IO[bytes]:
        return self._files.open(name)

    def blob(self, digest: str) -> bytes:
        """A whole blob, which is what its digest says."""
        if digest in self._made:
            return self._made[digest]
        with self.file(self._place(digest)) as file:
            data = file.read()
        kind, _, wanted = digest.partition(":")
        if kind != "sha256" or hashlib.sha256(data).hexdigest() != wanted:
            raise ArchiveError(f"damaged: {self._place(digest)} is not what its digest says")
        return data

    def chunks(self, digest: str) -> Iterator[bytes]:
        if digest in self._made:
            yield self._made[digest]
            return
        with self.file(self._place(digest)) as source:
            while chunk := source.read(_CHUNK):
                yield chunk

    def _place(self, digest: str) -> str:
        return self._places.get(digest) or f"blobs/{digest.replace(':', '/', 1)}"

    def oci_images(self) -> list[tuple[str, Document]]:
        """(name, manifest's descriptor) of each image in an OCI layout that suits this machine."""
        images = []
        for entry in self._json("index.json")["manifests"]:
            notes = entry.get("annotations") or {}
            name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name")
            manifest = self._suitable(entry)
            if name and manifest:
                images.append((str(references.parse(name)), manifest))
        return images

    def _json(self, name: str) -> Any:
        with self.file(name) as file:
            return json.load(file)

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
            raise ArchiveError("not an image archive: it has neither index.json nor manifest.json")
        images = []
        for entry in self._json("manifest.json"):
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
            magic = source.read(4)
            source.seek(0)
            hashed = hashlib.sha256()
            while chunk := source.read(_CHUNK):
                hashed.update(chunk)
            size = source.tell()
        digest = f"sha256:{hashed.hexdigest()}"
        self._places[digest] = name
        packed = {_GZIP: "+gzip", _ZSTD: "+zstd"} if media_type == LAYER else {}
        suffix = next((each for start, each in packed.items() if magic.startswith(start)), "")
        return {"mediaType": media_type + suffix, "digest": digest, "size": size}


def suits(wanted: Document | None) -> bool:
    """Whether an image for a platform runs here."""
    return wanted is None or (wanted.get("os") == "linux" and wanted.get("architecture") == architecture())
