"""The credentials in a pod's pull secrets, and which of them an image's repository asks for. Pure.

Source: docs, "Images", "Interpretation of config.json"."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from podium.api.types import Obj
from podium.runtime import references

log = logging.getLogger(__name__)

_TYPES = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
_HUB = "index.docker.io"


@dataclass(frozen=True, slots=True)
class Credential:
    """What one entry of a secret says. `auth` has the fields of CRI's AuthConfig; `hash` tells two of them
    apart without giving them away."""

    secret: str
    namespace: str
    uid: str
    auth: Mapping[str, str]

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.auth), sort_keys=True).encode()).hexdigest()


def lookup(secrets: Iterable[Obj], repository: str) -> list[Credential]:
    """All that may open the repository (`HOST/PATH`), those of the most specific entries first."""
    entries: dict[str, list[Credential]] = {}
    for secret in secrets:
        for place, credential in _entries(secret):
            entries.setdefault(place, []).append(credential)
    found = [
        credential
        for place in sorted(entries, reverse=True)
        if _opens(place, repository)
        for credential in entries[place]
    ]
    if not found and repository.partition("/")[0] == references.DEFAULT_HOST:
        return entries.get(_HUB, [])
    return found


def _entries(secret: Obj) -> Iterator[tuple[str, Credential]]:
    key = _TYPES.get(secret.get("type", ""))
    data = (secret.get("data") or {}).get(key) if key else None
    if not data:
        return
    metadata = secret["metadata"]
    try:
        document: Any = json.loads(base64.b64decode(data))
        registries = document.get("auths") or {} if key == ".dockerconfigjson" else document
        for registry, entry in registries.items():
            auth = _auth(entry)
            if place := _place(registry):
                name, namespace = metadata["name"], metadata.get("namespace", "")
                yield place, Credential(name, namespace, metadata.get("uid", ""), auth)
    except (ValueError, AttributeError, TypeError) as error:
        log.warning("secret %s holds no docker configuration: %s", metadata["name"], error)


def _place(registry: str) -> str:
    """`HOST[:PORT][/PATH]` of an entry's name; the API version that some have is no path."""
    value = registry if registry.startswith(("https://", "http://")) else f"https://{registry}"
    split = urlsplit(value)
    path = split.path
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return split.netloc + (path if path != "/" else "")


def _opens(place: str, repository: str) -> bool:
    """Each label of a host may have wildcards of its own; the path is a prefix."""
    (pattern, path), (host, wanted) = _parts(place), _parts(repository)
    pattern_labels, port = _labels(pattern)
    labels, wanted_port = _labels(host)
    if port != wanted_port or len(labels) != len(pattern_labels) or not wanted.startswith(path):
        return False
    return all(map(fnmatchcase, labels, pattern_labels))


def _parts(place: str) -> tuple[str, str]:
    host, slash, path = place.partition("/")
    return host, slash + path


def _labels(host: str) -> tuple[list[str], str]:
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    return name.split("."), port


def _auth(entry: Obj) -> dict[str, str]:
    """Raises ValueError."""
    made = {
        "username": entry.get("username", ""),
        "password": entry.get("password", ""),
        "identity_token": entry.get("identitytoken", ""),
    }
    if entry.get("auth"):
        try:
            decoded = base64.b64decode(entry["auth"] + "=" * (-len(entry["auth"]) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("auth is not in base64") from error
        name, colon, password = decoded.partition(":")
        if not colon:
            raise ValueError("auth is not USER:PASSWORD")
        made.update(username=name, password=password)
    return {name: value for name, value in made.items() if value}
