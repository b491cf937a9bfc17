"""/statusz and /flagz: what a server says of itself to whoever looks for what is wrong with it. As text,
which nobody is to take apart, or as an object of `config.k8s.io` for those who ask for one.

Source: KEP-4827, KEP-4828."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
import yaml

from podium.api import negotiation
from podium.api.types import Obj
from podium.api.types.errors import not_acceptable
from podium.api.types.meta import timestamp

COMPONENT = "apiserver"
TEXT, JSON, YAML = "text/plain", "application/json", "application/yaml"
VERSIONS = ("v1beta1", "v1alpha1")
GROUP = "config.k8s.io"
# What says nothing of the server's state.
_NOT_LISTED = frozenset({"", "apis", "api", "openid", "openapi", ".well-known"})
_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees "
    "and is for debugging purposes only."
)


class Page(NamedTuple):
    media_type: str
    body: bytes
    warning: str = ""


def status(accept: str, started: datetime, now: datetime, version: str, paths: Iterable[str]) -> Page:
    """Raises 406."""
    folders = sorted({path.split("/")[1] for path in paths if path.startswith("/")} - _NOT_LISTED)
    up = max(0, int((now - started).total_seconds()))
    obj = {
        "startTime": timestamp(started),
        "uptimeSeconds": up,
        "goVersion": f"python{platform.python_version()}",
        "binaryVersion": version,
        "emulationVersion": version,
        "paths": [f"/{folder}" for folder in folders],
    }
    lines = [
        f"Started: {started.astimezone(UTC):%a %b %e %H:%M:%S UTC %Y}",
        f"Up: {up // 3600} hr {up // 60 % 60:02} min {up % 60:02} sec",
        f"Go version: {obj['goVersion']}",
        f"Binary version: {version}",
        f"Emulation version: {version}",
        f"Paths: {' '.join(obj['paths'])}",  # type: ignore[arg-type]
    ]
    return _page(accept, "Statusz", obj, ["", *lines])


def flags(accept: str, given: Mapping[str, str]) -> Page:
    """Raises 406."""
    lines = [f"{name}={value}" for name, value in sorted(given.items())]
    return _page(accept, "Flagz", {"flags": dict(given)} if given else {}, lines)


def _page(accept: str, kind: str, obj: Obj, lines: list[str]) -> Page:
    for entry in negotiation.ranges(accept) if accept.strip() else ():
        asked = entry.parameters
        if entry.type in (TEXT, "text/*", "*/*") and "as" not in asked:
            break
        named = (asked.get("as"), asked.get("g")) == (kind, GROUP) and asked.get("v") in VERSIONS
        if entry.type in (JSON, YAML) and named:
            return _structured(kind, asked["v"], obj, entry.type)
    else:
        if accept.strip():
            raise not_acceptable(f"only the following media types are accepted: {JSON}, {YAML}, {TEXT}")
    text = "\n".join(["", f"{COMPONENT} {kind.lower()}", _WARNING, *lines, ""])
    return Page(f"{TEXT}; charset=utf-8", text.encode())


def _structured(kind: str, version: str, obj: Obj, media_type: str) -> Page:
    whole = {"kind": kind, "apiVersion": f"{GROUP}/{version}", "metadata": {"name": COMPONENT}, **obj}
    body = orjson.dumps(whole) if media_type == JSON else yaml.safe_dump(whole).encode()
    old = f"This version of the {kind.lower()} endpoint is deprecated. Please use a newer version."
    return Page(media_type, body, f'299 - "{old}"' if version != VERSIONS[0] else "")
