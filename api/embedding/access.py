"""How one user reaches one server, in the forms in which client libraries want to be told."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from podium.api.pki import Pair
from podium.api.types import Obj


@dataclass(frozen=True)
class Access:
    """`ca_file` and the files of `pair` are PEM, and are there as long as the server is. `namespace` is the
    kubeconfig's."""

    url: str
    user: str
    ca_file: Path
    pair: Pair
    namespace: str = "default"

    def within(self, namespace: str) -> Access:
        """The same, with another namespace where none is named."""
        return replace(self, namespace=namespace)

    def kubeconfig(self) -> Obj:
        """A kubeconfig of one context that needs no other file. Source: config/v1 reference."""
        cluster = {"server": self.url, "certificate-authority-data": _data(self.ca_file)}
        user = {
            "client-certificate-data": _data(self.pair.cert),
            "client-key-data": _data(self.pair.key),
        }
        context = {"cluster": "podium", "user": self.user, "namespace": self.namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "podium", "cluster": cluster}],
            "users": [{"name": self.user, "user": user}],
            "contexts": [{"name": "podium", "context": context}],
            "current-context": "podium",
        }

    def write_kubeconfig(self, path: Path) -> Path:
        """For those who want a file; only its owner may read it. Returns `path`."""
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self.kubeconfig(), sort_keys=False))
        return path


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
