"""The files that static pods come from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from podium.api.types import Obj, meta
from podium.runtime import folders
from podium.runtime.staticpods.manifest import LARGEST, BadManifest, parse

log = logging.getLogger(__name__)


class ManifestFolder:
    """One node's. `pods` are those that are to run, by uid; `read` brings them up to date."""

    def __init__(self, path: Path, node_name: str, *, now: Callable[[], datetime]) -> None:
        self._path = path
        self._node_name = node_name
        self._now = now
        self._files: dict[Path, Obj] = {}
        self._said: dict[Path, str] = {}
        self.pods: dict[str, Obj] = {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Until cancelled. Blocking, but for so little that it is not worth a thread."""
        async for _ in folders.changes(self._path):
            self.read()
            changed()

    def read(self) -> None:
        """A file that cannot be run leaves everything as it was, also the pod that it held before."""
        files = {path: self._pod(path) for path in self._paths()}
        self._said = {path: said for path, said in self._said.items() if path in files}
        self._files = {path: pod for path, pod in files.items() if pod is not None}
        self.pods = {}
        taken: dict[tuple[str, str], Path] = {}
        for path, pod in self._files.items():
            key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            if (first := taken.setdefault(key, path)) != path:
                self._tell(path, f"{first} has a pod of the same name")
                continue
            self.pods[pod["metadata"]["uid"]] = pod

    def _paths(self) -> list[Path]:
        try:
            return sorted(path for path in self._path.iterdir() if path.name[0] != "." and path.is_file())
        except OSError:
            return []

    def _pod(self, path: Path) -> Obj | None:
        before = self._files.get(path)
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
            pod = parse(data, str(path), self._node_name, seen=meta.timestamp(self._now()))
        except FileNotFoundError:
            return None
        except (OSError, BadManifest) as error:
            self._tell(path, str(error))
            return before
        self._said.pop(path, None)
        same = before is not None and before["metadata"]["uid"] == pod["metadata"]["uid"]
        return before if same else pod

    def _tell(self, path: Path, why: str) -> None:
        """Once for each that is wrong."""
        if self._said.get(path) != why:
            log.error("cannot run a static pod of %s: %s", path, why)
            self._said[path] = why
