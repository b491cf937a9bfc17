"""A layer: a tree of files in memory, and the tar it makes."""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MTIME = 1_767_225_600
"""Of every entry: the first second of 2026, so that the same content makes the same bytes."""

# Older packages still use the directories that are links into /usr.
_MERGED = re.compile(r"^(bin|sbin|lib|lib32|lib64|libx32)(?=/|$)")


class Layer(NamedTuple):
    """An uncompressed tar and its sha256 digest, which is its diff ID too."""

    tar: bytes
    digest: str


class _Entry(NamedTuple):
    kind: bytes
    mode: int
    data: bytes
    target: str


class Tree:
    """Paths are relative to the root, without a leading slash. Everything belongs to root."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def directory(self, *paths: str, mode: int = 0o755) -> None:
        for path in paths:
            self._entries[path] = _Entry(tarfile.DIRTYPE, mode, b"", "")

    def file(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        content = data.encode() if isinstance(data, str) else data
        self._entries[path] = _Entry(tarfile.REGTYPE, mode, content, "")

    def link(self, path: str, target: str) -> None:
        self._entries[path] = _Entry(tarfile.SYMTYPE, 0o777, b"", target)

    def package(self, deb: Path, keep: Iterable[str]) -> None:
        """Add what of a Debian package matches one of the patterns (regular expressions for the whole
        path)."""
        wanted = re.compile("|".join(f"(?:{pattern})" for pattern in keep))
        unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as archive:
            for member in archive:
                path = _merged(member.name)
                if wanted.fullmatch(path):
                    self._member(archive, member, path)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.issym():
            self.link(path, member.linkname)
        elif member.isfile() or member.islnk():
            file = archive.extractfile(member)
            self.file(path, file.read() if file else b"", member.mode)

    def layer(self) -> Layer:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path, entry in sorted({**self._parents(), **self._entries}.items()):
                info = tarfile.TarInfo(path)
                info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.target
                info.size, info.mtime = len(entry.data), MTIME
                info.uname = info.gname = "root"
                archive.addfile(info, io.BytesIO(entry.data))
        tar = made.getvalue()
        return Layer(tar, f"sha256:{hashlib.sha256(tar).hexdigest()}")

    def _parents(self) -> dict[str, _Entry]:
        """Directories that nobody named."""
        found: dict[str, _Entry] = {}
        for path in self._entries:
            while path := posixpath.dirname(path):
                found[path] = _Entry(tarfile.DIRTYPE, 0o755, b"", "")
        return found


def _merged(name: str) -> str:
    return _MERGED.sub(r"usr/\1", name.removeprefix("./").rstrip("/"))
