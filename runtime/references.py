"""Names of images: `busybox` is `docker.io/library/busybox:latest`. Source: the grammar of
distribution/reference."""

from __future__ import annotations

import re
from typing import NamedTuple

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST = re.compile(rf"(?:{_DOMAIN}|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")

DEFAULT_HOST = "docker.io"


class InvalidName(ValueError):
    """Not the name of an image."""


class Reference(NamedTuple):
    """A parsed name. `repository` includes the registry's host; without a digest there is always a tag."""

    repository: str
    tag: str
    digest: str

    @property
    def host(self) -> str:
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(name: str) -> Reference:
    """Raises InvalidName with upstream's words."""
    rest, _, digest = name.partition("@")
    if ("@" in name and not _DIGEST.fullmatch(digest)) or not rest:
        raise InvalidName("invalid reference format")
    host, path = _split_host(rest)
    path, _, tag = path.partition(":")
    if ":" in rest[len(rest) - len(path) - len(tag) - 1 :] and not _TAG.fullmatch(tag):
        raise InvalidName("invalid reference format")
    if path != path.lower():
        raise InvalidName("invalid reference format: repository name must be lowercase")
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise InvalidName("invalid reference format")
    return Reference(f"{host}/{path}", tag or ("" if digest else "latest"), digest)


def _split_host(rest: str) -> tuple[str, str]:
    """The registry's host, and the path in it. What has no dot, no port and is not `localhost` is no host."""
    first, slash, remainder = rest.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not is_host:
        path = rest if slash else f"library/{rest}"
        return DEFAULT_HOST, path
    if first in ("docker.io", "index.docker.io"):
        return DEFAULT_HOST, remainder if "/" in remainder else f"library/{remainder}"
    return first, remainder


def is_digest(text: str) -> bool:
    """Whether this is a bare digest: what an image's configuration is known by."""
    return _DIGEST.fullmatch(text) is not None
