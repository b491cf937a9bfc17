"""configMap, secret, downwardAPI and projected volumes: files made from objects, and kept as the objects are.

A change of an object rewrites the volumes that show it. Where the new state cannot be shown (the object is
gone, a key is missing), the files stay as they were."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.workqueue import WorkQueue
from podium.storage import atomic, memory, sources
from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import VolumeError, failed
from podium.storage.objects import Holder, ObjectCache
from podium.storage.ownership import common_user, give_to_group
from podium.storage.tokens import DEFAULT_SECONDS, Tokens, utc_now

log = logging.getLogger(__name__)

FOLDERS = {
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "downwardAPI": "kubernetes.io~downward-api",
    "projected": "kubernetes.io~projected",
}
# What may hold secrets never touches a disk.
_IN_MEMORY = frozenset({"secret", "downwardAPI", "projected"})


class PayloadPlugin(Plugin):
    """`run` keeps the mounted volumes current; without it they stay as they were mounted. `waited` is told
    the uid of a pod whose volume could not be mounted when an object that it shows has changed."""

    def __init__(
        self,
        client: Client,
        node_name: str,
        *,
        waited: Callable[[str], None],
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._waited = waited
        self._node_name = node_name
        self._now = now
        self._queue: WorkQueue[Holder] = WorkQueue(clock=clock)
        self._objects = ObjectCache(client, self._queue.add)
        self._tokens = Tokens(client, now)
        self._mounted: dict[Holder, Request] = {}
        self._locks: dict[Holder, asyncio.Lock] = {}

    def folder(self, type: str) -> str:
        return FOLDERS[type]

    async def mount(self, request: Request) -> MountedVolume:
        holder = Holder(request.uid, request.name)
        for reference in sources.references(request):
            self._objects.hold(reference, holder)
        async with self._locks.setdefault(holder, asyncio.Lock()):
            payload = await self._collect(request)
            await asyncio.to_thread(_prepare, request)
            await self._write(request, payload)
        self._mounted[holder] = request
        return MountedVolume(str(request.folder), read_only=True)

    async def release(self, uid: str) -> None:
        """Waits for a rewrite that is under way, so that nothing is written into a folder that is being
        removed."""
        self._objects.release(uid)
        self._tokens.forget(uid)
        for holder in [holder for holder in self._locks if holder.uid == uid]:
            self._mounted.pop(holder, None)
            async with self._locks[holder]:
                del self._locks[holder]

    async def run(self) -> None:
        """Rewrites volumes whose objects changed and whose tokens grew old, until cancelled."""
        await self._queue.work(self._refresh, self._failed)

    def _failed(self, holder: Holder, error: Exception) -> None:
        known = isinstance(error, VolumeError | OSError | StatusError)
        text = "pod %s: could not update volume %r: %s"
        log.warning(text, holder.uid, holder.volume, error, exc_info=None if known else error)

    async def close(self) -> None:
        self._queue.close()
        await self._objects.close()

    async def _refresh(self, holder: Holder) -> None:
        request = self._mounted.get(holder)
        if request is None:
            self._waited(holder.uid)
            return
        async with self._locks[holder]:
            if self._mounted.get(holder) is request:
                await self._write(request, await self._collect(request))

    async def _write(self, request: Request, payload: sources.Files) -> None:
        finish: Callable[[], None] = _nothing
        if request.fs_group is not None:
            finish = partial(give_to_group, request.folder, request.fs_group, read_only=True)
        await asyncio.to_thread(atomic.write, request.folder, payload, finish)

    async def _collect(self, request: Request) -> sources.Files:
        """Every file of the volume; of two sources with one path the later wins. Raises VolumeError with all
        faults."""
        spec = sources.spec_of(request)
        allocatable = await self._allocatable() if sources.needs_node(request) else {}
        files: sources.Files = {}
        errors: list[VolumeError] = []
        for source in spec.sources:
            try:
                files.update(await self._source_files(request, source, spec.default_mode, allocatable))
            except VolumeError as error:
                errors.append(error)
        if errors:
            raise sources.aggregate(errors)
        return files

    async def _source_files(
        self, request: Request, source: sources.Source, mode: int, allocatable: Mapping[str, Any]
    ) -> sources.Files:
        kind = sources.kind_of(source)
        if reference := sources.reference_of(source, request.namespace):
            return sources.object_files(source, await self._objects.get(reference), mode)
        if kind == "downwardAPI":
            pod = await self._newest_pod(request) if sources.follows_pod(source) else request.pod
            return sources.downward_files(source[kind].get("items") or (), pod, allocatable, mode)
        if kind == "serviceAccountToken":
            return await self._token_file(request, source[kind], mode)
        raise failed(f'projected source "{kind}" is not supported')

    async def _token_file(self, request: Request, source: Mapping[str, Any], mode: int) -> sources.Files:
        user = common_user(request.pod)
        if user is not None or request.fs_group is not None:
            mode = 0o600
        seconds = int(source.get("expirationSeconds") or DEFAULT_SECONDS)
        token = await self._tokens.get(request.pod, str(source.get("audience") or ""), seconds)
        due = (token.refresh - self._now()).total_seconds()
        self._queue.add_after(Holder(request.uid, request.name), max(due, 1.0))
        return {str(source["path"]): atomic.File(token.text.encode(), mode, user)}

    async def _allocatable(self) -> Mapping[str, Any]:
        try:
            node = await self._client.get(NODES, self._node_name)
        except (StatusError, ConnectionError) as error:
            raise failed(f"failed to get the node's allocatable resources: {error}") from error
        return (node.get("status") or {}).get("allocatable") or {}

    async def _newest_pod(self, request: Request) -> Obj:
        """The pod as the watch sees it, unless another pod has its name by now."""
        seen = await self._objects.get(sources.pod_reference(request))
        if seen is None or seen["metadata"].get("uid") != request.uid:
            return request.pod
        return seen


def _prepare(request: Request) -> None:
    """The empty folder, with the directories that other volumes will be mounted on."""
    if request.type in _IN_MEMORY:
        memory.mount_tmpfs(request.folder)
    else:
        request.folder.mkdir(parents=True, exist_ok=True)
        request.folder.chmod(0o777)
    for path in sorted(sources.nested_mount_points(request.pod, request.name)):
        with contextlib.suppress(FileExistsError):
            (request.folder / Path(path)).mkdir(parents=True)


def _nothing() -> None:
    """No group to give the files to."""
