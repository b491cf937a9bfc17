"""Whether containers can have users of their own here: the kernel and containerd have to map the ids of
images, the runtime those of volumes."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import orjson

from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.handlers import RUNC, Runtime
from podium.runtime.usernamespaces.ranges import IdRange
from podium.runtime.usernamespaces.trying import refusal

log = logging.getLogger(__name__)

REMAPPED = "remap-ids"
"""What a snapshotter says of itself that shows a snapshot's files under other ids."""

_PROGRAMS = ("nsenter", "unshare")


class Support:
    """Of one node, whose runtimes are `runtimes`; `ids` is what it may give its pods."""

    def __init__(self, containerd: Containerd, runtimes: Mapping[str, Runtime], ids: IdRange) -> None:
        self._containerd = containerd
        self._runtimes = runtimes
        self._ids = IdRange(ids.first)
        self._tried = False
        self._features: dict[tuple[str, int], bool] = {}

    async def lacks(self, handler: str) -> str:
        """What is missing for pods of a handler, "" when nothing is. Raises ContainerdError."""
        return ", ".join(filter(None, (await self._snapshots(), await self._runtime(handler))))

    async def handlers(self) -> frozenset[str]:
        """Those whose pods can have users of their own; none while containerd cannot say."""
        try:
            if await self._snapshots():
                return frozenset()
        except ContainerdError as error:
            log.debug("cannot tell whether pods can have users of their own: %s", error)
            return frozenset()
        return frozenset([name for name in self._runtimes if not await self._runtime(name)])

    async def _snapshots(self) -> str:
        if missing := _missing(Path(self._containerd.channel.socket).parent):
            return missing
        snapshotter = self._containerd.snapshots.snapshotter
        if REMAPPED in await self._containerd.capabilities("io.containerd.snapshotter.v1", snapshotter):
            return await self._kernel()
        return f"containerd {await self._containerd.version()} cannot map the ids of images ({REMAPPED})"

    async def _kernel(self) -> str:
        """Tried until it has once been done."""
        if not self._tried and (refused := await asyncio.to_thread(refusal, self._ids)):
            return refused
        self._tried = True
        return ""

    async def _runtime(self, handler: str) -> str:
        runtime = self._runtimes[handler]
        if runtime.type != RUNC:
            return f"{runtime.type} cannot be asked whether it maps the ids of volumes"
        program = str(runtime.options.get("BinaryName") or "runc")
        found = shutil.which(program)
        if found is None:
            return f"there is no {program}"
        key = (found, _changed(found))
        if key not in self._features:
            self._features[key] = await asyncio.to_thread(_maps_mounts, found)
        return "" if self._features[key] else f"{program} cannot map the ids of volumes"


def _missing(bundles: Path) -> str:
    """`bundles` is the folder in which containerd keeps what containers are made of: their own root has to
    get there."""
    for folder in (bundles, *bundles.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return f"only its owner gets through {folder}"
    return next((f"there is no {each}" for each in _PROGRAMS if shutil.which(each) is None), "")


def _changed(path: str) -> int:
    return os.stat(path).st_mtime_ns


def _maps_mounts(program: str) -> bool:
    """Source: opencontainers/runtime-spec features-linux.md, `mountExtensions`."""
    try:
        command = [program, "features"]
        answer = subprocess.run(command, capture_output=True, check=True, timeout=30, cwd="/")
        extensions = (orjson.loads(answer.stdout).get("linux") or {}).get("mountExtensions") or {}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.debug("%s does not tell what it can do: %s", program, error)
        return False
    return bool((extensions.get("idmap") or {}).get("enabled"))
