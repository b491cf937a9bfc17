"""Whole documents, built once each and kept compressed.

Source: API concepts, "OpenAPI V2", "OpenAPI V3".
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import orjson

from podium.api.schema import definitions
from podium.api.schema.openapi import gnostic, merging
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


class Added(NamedTuple):
    """Resources that are served for a while, and their definitions: those of the v2 document say less."""

    resources: Sequence[Resource]
    definitions: Mapping[str, Obj]
    for_v2: Mapping[str, Obj]


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
        self._fixed = resources
        self._version = version
        self._more = more
        self._built: dict[str, Document] = {}
        self._hashes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._added: Mapping[str, Added] = {}
        self._others: Mapping[str, Obj] = {}
        self._groups = _grouped(resources)

    def extend(self, added: Mapping[str, Added]) -> None:
        """Puts these in, by a name of the caller's, in place of what was added before."""
        with self._lock:
            former, self._added = self._added, added
            same = {id(entry) for name, entry in added.items() if former.get(name) is entry}
            changed = [each for each in (*former.values(), *added.values()) if id(each) not in same]
            if not changed:
                return
            resources = [*self._fixed, *(each for entry in added.values() for each in entry.resources)]
            self._groups = _grouped(resources)
            stale = {_group_path(each) for entry in changed for each in entry.resources}
            for key in (*stale, "v2", "v2 protobuf"):
                self._built.pop(key, None)
            for path in stale:
                self._hashes.pop(path, None)

    def join(self, others: Mapping[str, Obj]) -> None:
        """Parts of the v2 document that others serve (see `merging`), by a name of the caller's, in place of
        what was joined before."""
        with self._lock:
            if others == self._others:
                return
            self._others = dict(others)
            for key in ("v2", "v2 protobuf"):
                self._built.pop(key, None)

    def v3_index(self, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """What /openapi/v3 answers: every group version with a URL that changes with its document. `more`
        has the hashes of documents that others serve, by path."""
        hashes = dict(more)
        for path in list(self._groups):
            with contextlib.suppress(KeyError):  # gone meanwhile
                hashes[path] = self.v3_hash(path)
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
            if path not in self._hashes:
                raw = self._definitions()
                missing = self._groups.keys() - self._hashes.keys()
                self._hashes |= {name: _hash(self._v3_body(name, raw)) for name in missing}
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
        for entry in self._added.values():
            raw |= entry.definitions
        return raw | dict(self._more)

    def _v3_body(self, path: str, raw: dict[str, Obj]) -> bytes:
        return orjson.dumps(V3(raw, self._version).document(self._groups[path]))

    def _v2_document(self) -> Obj:
        raw = self._definitions()
        for entry in self._added.values():
            raw |= entry.for_v2
        resources = [resource for group in self._groups.values() for resource in group]
        document = V2(raw, self._version).document(resources)
        return merging.merge(document, (part for _, part in sorted(self._others.items())))


def _grouped(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    groups: dict[str, list[Resource]] = {}
    for resource in resources:
        groups.setdefault(_group_path(resource), []).append(resource)
    return groups


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest().upper()


def _group_path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
