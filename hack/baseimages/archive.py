"""OCI image layouts in one tar file, which containerd and Docker import."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from baseimages.tree import MTIME, Layer

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_KEY = "io.podium.build.key"

Document = dict[str, Any]


class _Blob(NamedTuple):
    media_type: str
    data: bytes
    digest: str

    @classmethod
    def of(cls, media_type: str, document: Document) -> _Blob:
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return cls(media_type, data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    def descriptor(self, **more: Any) -> Document:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data), **more}


def write(
    path: Path,
    names: Sequence[str],
    layers: Sequence[Layer],
    config: Document,
    *,
    architecture: str,
    key: str,
) -> None:
    """One image under several names. `config` is the runtime part of the image configuration. `key` is kept
    with the archive and says what it was made from. The file appears whole or not at all."""
    blobs = _blobs(layers, config, architecture)
    manifest = blobs[-1]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "annotations": {_KEY: key},
        "manifests": [
            manifest.descriptor(
                platform={"architecture": architecture, "os": "linux"},
                annotations={
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            )
            for name in names
        ],
    }
    scratch = path.with_suffix(".tmp")
    try:
        with tarfile.open(scratch, "w", format=tarfile.GNU_FORMAT) as archive:
            # First, so that the key is read without reading the layers.
            _add(archive, "index.json", json.dumps(index, sort_keys=True).encode())
            _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            for blob in dict.fromkeys(blobs):
                _add(archive, "blobs/" + blob.digest.replace(":", "/"), blob.data)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _blobs(layers: Sequence[Layer], config: Document, architecture: str) -> list[_Blob]:
    """Layers, configuration, manifest."""
    tars = [_Blob(_LAYER, layer.tar, layer.digest) for layer in layers]
    described = _Blob.of(
        _CONFIG,
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
    )
    manifest = _Blob.of(
        _MANIFEST,
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": described.descriptor(),
            "layers": [tar.descriptor() for tar in tars],
        },
    )
    return [*tars, described, manifest]


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), MTIME, 0o644
    archive.addfile(info, io.BytesIO(data))


def key_of(path: Path) -> str:
    """What an archive was made from; "" when there is none, or it is not one of ours."""
    try:
        with tarfile.open(path) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member and member.name == "index.json" else None
            index = json.load(file) if file else {}
    except (OSError, tarfile.TarError, ValueError):
        return ""
    return str(index.get("annotations", {}).get(_KEY, ""))
