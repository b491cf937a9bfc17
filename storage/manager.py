"""The volume manager: mounts, keeps current and takes away the volumes of the pods on one node.

What is on disk and in the kernel's mount table is the truth: after a restart `known` reads it back, and
mounting again takes over what is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from podium.api.types import Obj
from podium.client.base import Client
from podium.client.clock import Clock
from podium.storage import folders
from podium.storage.base import MountedVolume, Plugin, Request, type_of
from podium.storage.emptydir import EmptyDirPlugin
from podium.storage.errors import VolumeError, failed
from podium.storage.hostpath import HostPathPlugin
from podium.storage.payloads import FOLDERS, PayloadPlugin
from podium.storage.subpath import bind_subpath
from podium.storage.tokens import utc_now

log = logging.getLogger(__name__)


class _Turn:
    """Whose turn it is with one pod's volumes."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class VolumeManager:
    """`start` before the first pod, `close` at the end; the volumes themselves stay. One call per pod at a
    time does something; others for the same pod wait."""

    def __init__(
        self,
        client: Client,
        *,
        node_name: str,
        pods_dir: Path,
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
    ) -> None:
        self._pods_dir = Path(pods_dir)
        self._payloads = PayloadPlugin(client, node_name, now=now, clock=clock)
        self._plugins: dict[str, Plugin] = {"emptyDir": EmptyDirPlugin(), "hostPath": HostPathPlugin()}
        self._plugins.update(dict.fromkeys(FOLDERS, self._payloads))
        self._turns: dict[str, _Turn] = {}
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """From now on mounted volumes follow their objects. Idempotent."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._payloads.run(), name="volume-updates")

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
            self._worker = None
        await self._payloads.close()

    async def mount(self, pod: Obj) -> dict[str, MountedVolume]:
        """Every volume of the pod by its name. Idempotent. Raises VolumeError for the first that cannot be
        mounted; the others are, or will be with the next call."""
        await self.start()
        uid = str(pod["metadata"]["uid"])
        volumes = pod["spec"].get("volumes") or ()
        async with self._alone_with(uid):
            results = await asyncio.gather(
                *(self._mount_one(pod, volume) for volume in volumes), return_exceptions=True
            )
        mounted: dict[str, MountedVolume] = {}
        for volume, result in zip(volumes, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            mounted[volume["name"]] = result
        return mounted

    async def unmount(self, uid: str) -> None:
        """Unmounts and removes what belongs to the pod alone. Idempotent. Raises OSError."""
        async with self._alone_with(uid):
            for plugin in dict.fromkeys(self._plugins.values()):
                await plugin.release(uid)
            await asyncio.to_thread(folders.remove, self._pods_dir, uid)

    async def known(self) -> set[str]:
        """Uids of pods with volumes on this machine."""
        return await asyncio.to_thread(folders.known, self._pods_dir)

    async def subpath(
        self, uid: str, volume: str, path: str, subpath: str, *, container: str, index: int
    ) -> str:
        """What a container gets for its volumeMount number `index` with a subPath: a bind mount that no
        symlink can lead out of the volume, whose MountedVolume has `path`. It goes with the pod. Idempotent.
        Raises VolumeError."""
        target = folders.subpath_target(self._pods_dir, uid, volume, container, index)
        async with self._alone_with(uid):
            try:
                return await asyncio.to_thread(bind_subpath, path, subpath, target)
            except OSError as error:
                raise VolumeError(
                    "CreateContainerConfigError",
                    f'failed to prepare subPath for volumeMount "{volume}": {error}',
                ) from error

    @asynccontextmanager
    async def _alone_with(self, uid: str) -> AsyncIterator[None]:
        """One at a time for a pod. The lock lives while somebody holds it or waits for it."""
        turn = self._turns.setdefault(uid, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[uid]

    async def _mount_one(self, pod: Obj, volume: Mapping[str, object]) -> MountedVolume:
        name = str(volume["name"])
        try:
            return await self._plugin_mount(pod, dict(volume), name)
        except VolumeError as error:
            text = f'MountVolume.SetUp failed for volume "{name}" : {error.message}'
            raise VolumeError(error.reason, text) from error
        except OSError as error:
            raise VolumeError(
                "FailedMount", f'MountVolume.SetUp failed for volume "{name}" : {error}'
            ) from error

    async def _plugin_mount(self, pod: Obj, volume: Obj, name: str) -> MountedVolume:
        kind = type_of(volume)
        plugin = self._plugins.get(kind)
        if plugin is None:
            raise failed(f'volume type "{kind}" is not supported')
        uid = str(pod["metadata"]["uid"])
        folder = folders.volume_folder(self._pods_dir, uid, plugin.folder(kind), name)
        return await plugin.mount(Request(pod, name, kind, volume.get(kind) or {}, folder))
