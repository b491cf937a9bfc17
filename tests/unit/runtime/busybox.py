"""A tiny image made from this machine's static busybox, as an OCI archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from podium.runtime.archive import architecture

APPLETS = (
    "sh",
    "cat",
    "echo",
    "env",
    "hostname",
    "id",
    "kill",
    "ls",
    "nc",
    "sleep",
    "stat",
    "true",
    "false",
    "touch",
    "wget",
    "httpd",
    "head",
    "tail",
    "mount",
    "dd",
)

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nalice:x:1234:2345::/home:/bin/sh\n"
GROUP = b"root:x:0:\nusers:x:2345:\nband:x:3456:alice\n"


def _member(
    archive: tarfile.TarFile, name: str, data: bytes = b"", *, mode: int = 0o755, link: str = ""
) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    info.size = len(data)
    if link:
        info.type = tarfile.SYMTYPE
        info.linkname = link
    elif name.endswith("/"):
        info.type = tarfile.DIRTYPE
    archive.addfile(info, io.BytesIO(data))


def layer() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for directory in ("bin/", "etc/", "tmp/", "proc/", "sys/", "dev/", "home/", "var/"):
            _member(archive, directory, mode=0o1777 if directory == "tmp/" else 0o755)
        _member(archive, "bin/busybox", Path("/bin/busybox").read_bytes())
        for applet in APPLETS:
            _member(archive, f"bin/{applet}", link="busybox")
        _member(
            archive,
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nalice:x:1234:2345::/home:/bin/sh\n",
            mode=0o644,
        )
        _member(archive, "etc/group", b"root:x:0:\nusers:x:2345:\nband:x:3456:alice\n", mode=0o644)
    return made.getvalue()


def write(path: Path, name: str, **config: object) -> None:
    """Writes an OCI archive of one image; `config` is the image configuration's own (Cmd, Env, User, ...)."""
    plain = layer()
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
    }
    layers = [blob("application/vnd.oci.image.layer.v1.tar+gzip", packed)]
    made = blob("application/vnd.oci.image.config.v1+json", json.dumps(document).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": made,
        "layers": layers,
    }
    entry = blob("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"io.containerd.image.name": name}
    with tarfile.open(path, "w") as archive:
        _member(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', mode=0o644)
        _member(
            archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(), mode=0o644
        )
        for digest, data in blobs.items():
            _member(archive, f"blobs/sha256/{digest}", data, mode=0o644)
