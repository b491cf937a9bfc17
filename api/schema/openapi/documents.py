"""Whole documents, built once each and kept compressed.

Source: API concepts, "OpenAPI V2", "OpenAPI V3".
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import orjson

from podium.api.schema import definitions
from podium.api.schema.openapi import gnostic
from podium.api.schema.openapi.builders import V2, V3
from podium.api.types import Obj
from podium.api.types.resources import BUILT_IN, Resource


class Document(NamedTuple):
    """A finished document. Most clients take gzip: hand out `compressed` to those and `body()` to the
    others."""

    compressed: bytes
    etag: str

    def body(self) -> bytes:
        return gzip.decompress(self.compressed)


class Documents:
    """The documents of one server. Building one takes about 100 ms of CPU for v2 in either form, 5 to 30 for
    a group version, and the index 40: call all of them in a thread. Thread-safe; each is built once and
    kept."""

    def __init__(
        self,
        resources: Sequence[Resource] = BUILT_IN,
        version: str = definitions.VERSION,
        more: Mapping[str, Obj] = MappingProxyType({}),
    ) -> None:
        """`more` are definitions, by name, that are not among those of the version."""
        self._resources = resources
        self._version = version
        self._more = more
        self._built: dict[str, Document] = {}
        self._hashes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._groups: dict[str, list[Resource]] = {}
        for resource in resources:
            self._groups.setdefault(_group_path(resource), []).append(resource)

    def v3_index(self, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """What /openapi/v3 answers: every group version with a URL that changes with its document. `more`
        has the hashes of documents that others serve, by path."""
        hashes = {path: self.v3_hash(path) for path in self._groups} | dict(more)
        paths = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
            for path, digest in sorted(hashes.items())
        }
        return orjson.dumps({"paths": paths})

    def v3_hash(self, path: str) -> str:
        """The hash in the index, which is that of the document's bytes: clients keep a document on disk for
        as long as the hash stays, across upgrades of the server. Raises KeyError for a path that is not
        there."""
        with self._lock:
            if not self._hashes:
                raw = self._definitions()
                self._hashes = {name: _hash(self._v3_body(name, raw)) for name in self._groups}
        return self._hashes[path]

    def v3(self, path: str) -> Document | None:
        """The document of `api/v1`, `apis/apps/v1`, ...; None when there is no such group version."""
        if path not in self._groups:
            return None
        return self._once(path, lambda: self._v3_body(path, self._definitions()))

    def v2(self) -> Document:
        """The one document of /openapi/v2, as JSON."""
        return self._once("v2", lambda: orjson.dumps(self._v2_document()))

    def v2_protobuf(self) -> Document:
        """The same as a protobuf message, the only form in which kubectl asks for it."""
        return self._once("v2 protobuf", lambda: gnostic.encode(self._v2_document()))

    def _once(self, key: str, make: Callable[[], bytes]) -> Document:
        with self._lock:
            found = self._built.get(key)
            if found is None:
                body = make()
                found = self._built[key] = Document(gzip.compress(body, 6, mtime=0), _hash(body))
            return found

    def _definitions(self) -> dict[str, Obj]:
        raw: dict[str, Obj] = orjson.loads(definitions.read(self._version))["$defs"]
        return raw | dict(self._more)

    def _v3_body(self, path: str, raw: dict[str, Obj]) -> bytes:
        return orjson.dumps(V3(raw, self._version).document(self._groups[path]))

    def _v2_document(self) -> Obj:
        return V2(self._definitions(), self._version).document(self._resources)


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest().upper()


def _group_path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
