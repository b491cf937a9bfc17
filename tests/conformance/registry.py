"""A registry of Debian's own package on loopback, with a password for everything, and images of a few bytes
pushed into it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.runtime.archive import INDEXES, MANIFEST, architecture
from tests.unit.runtime import busybox

USER, PASSWORD = "puller", "open sesame"
# bcrypt, the only one that the registry takes.
_HTPASSWD = f"{USER}:$2b$04$ZT1q/GwX4EHHKVl2vMCDmuL6X15mhjMBv1q8IKhGX.5LhoP1qK.q6\n"
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: {address}}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
_TYPES = {
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}


@dataclass(frozen=True)
class Registry:
    """At HOST:PORT, which the first node of a cluster reaches (it has no network of its own)."""

    address: str

    def push(self, name: str, tag: str, *, platform: str = "", **config: Any) -> str:
        """An image with busybox in it; the manifest's digest. With a platform it is the only one of an index."""
        layer = busybox.layer()
        packed = gzip.compress(layer, 1, mtime=0)
        document = {
            "architecture": (platform or architecture()), "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "3600"], **config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self._blob(name, json.dumps(document).encode(), _TYPES["config"]),
            "layers": [self._blob(name, packed, _TYPES["layer"])],
        }  # fmt: skip
        return self._manifest(name, tag, manifest, platform)

    def index(self, name: str, tag: str, platforms: dict[str, str]) -> str:
        """One name for images of several architectures, by their digests."""
        manifests = [
            {**self._described(name, digest), "platform": {"os": "linux", "architecture": machine}}
            for machine, digest in platforms.items()
        ]
        return self._put(
            name, tag, INDEXES[0], {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": manifests}
        )

    def _manifest(self, name: str, tag: str, manifest: dict[str, Any], platform: str) -> str:
        digest = self._put(name, f"only-{platform}" if platform else tag, MANIFEST, manifest)
        return self.index(name, tag, {platform: digest}) if platform else digest

    def _described(self, name: str, digest: str) -> dict[str, Any]:
        reply = self._ask("GET", f"/v2/{name}/manifests/{digest}", accept=MANIFEST)
        return {"mediaType": MANIFEST, "digest": digest, "size": len(reply.read())}

    def _put(self, name: str, tag: str, kind: str, document: dict[str, Any]) -> str:
        data = json.dumps(document).encode()
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", data, kind)
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _blob(self, name: str, data: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = self._ask("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        path = place.partition(self.address)[2] or place
        self._ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _ask(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        kind: str = "application/octet-stream",
        accept: str = "",
    ) -> Any:
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": kind}
        if accept:
            headers["Accept"] = accept
        url = f"http://{self.address}{path}"
        return urllib.request.urlopen(
            urllib.request.Request(url, data if method != "GET" else None, headers, method=method), timeout=20
        )

    def secret(self, name: str, *, password: str = PASSWORD, place: str = "") -> dict[str, Any]:
        """A pull secret, as `kubectl create secret docker-registry` makes them."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        entry = {"username": USER, "password": password, "auth": auth}
        return {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps({"auths": {place or self.address: entry}})},
        }  # fmt: skip


@contextmanager
def running(folder: Path) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    assert program is not None, "Debian's docker-registry is not installed"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, address=address))
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=out, stderr=out)
    try:
        _until_it_answers(address, process, folder / "log")
        yield Registry(address)
    finally:
        process.terminate()
        process.wait(20)


def _until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
            raise
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.05)
