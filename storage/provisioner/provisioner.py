"""The built-in provisioner on its node: makes, grows and removes the claims' images as the API server's
objects say.

Level-triggered: each key is looked at anew, live, before anything is done for it, and everything may be cut
short at any point. A PersistentVolume's creation is what counts: its name comes from the claim's uid, so
only one can win."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from podium.api.types import Obj, meta
from podium.api.types import storage as words
from podium.api.types.errors import StatusError
from podium.api.types.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    Resource,
)
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.events import EventRecorder
from podium.client.informer import Informer
from podium.client.workqueue import WorkQueue
from podium.storage.errors import VolumeError
from podium.storage.provisioner import decide, images
from podium.storage.provisioner.decide import Refused
from podium.storage.provisioner.images import NoRoom
from podium.storage.provisioner.registration import register
from podium.storage.provisioner.staging import Later
from podium.storage.provisioner.volumes import LocalVolumes
from podium.storage.tokens import utc_now

log = logging.getLogger(__name__)

MAX_DELAY = 300.0
BASE_DELAY = 0.5
_WORKERS = 2


class Key(NamedTuple):
    """A claim by namespace and name, a PersistentVolume, or an image that may be nobody's, by name."""

    kind: Literal["claim", "volume", "image"]
    namespace: str
    name: str


class Provisioner:
    """`claims` and `volumes` hold all there are; who made them runs them. `run` until cancelled."""

    def __init__(
        self,
        client: Client,
        node_name: str,
        local: LocalVolumes,
        claims: Informer,
        volumes: Informer,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._node = node_name
        self._local = local
        self._claims, self._volumes = claims, volumes
        self._now = now
        self._recorder = EventRecorder(client, f"{words.PROVISIONER}_{node_name}")
        self._queue: WorkQueue[Key] = WorkQueue(clock=clock, base_delay=BASE_DELAY, max_delay=MAX_DELAY)
        claims.add_handler(self._claim_changed)
        volumes.add_handler(self._volume_changed)

    async def run(self) -> None:
        await register(self._client, self._node)
        await self._claims.synced()
        await self._volumes.synced()
        for note in await self._local.notes():
            self._queue.add(Key("image", "", note.name))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_WORKERS):
                    group.create_task(self._queue.work(self._do, self._failed))
        finally:
            self._queue.close()

    async def close(self) -> None:
        self._queue.close()
        await self._recorder.close()

    def unmounted(self, name: str) -> None:
        """No pod of this node uses the volume any more."""
        self._queue.add(Key("volume", "", name))

    # What changes

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> None:
        last = new or old
        assert last is not None
        if new is not None and decide.to_provision(new, self._node):
            self._queue.add(Key("claim", meta.namespace_of(new), meta.name_of(new)))
        elif new is not None and new["spec"].get("volumeName"):
            volume = self._volumes.get(new["spec"]["volumeName"])
            if volume is not None and decide.growth(volume, new, self._node) is not None:
                self._queue.add(Key("volume", "", meta.name_of(volume)))
        elif words.annotation(last, words.STORAGE_PROVISIONER) == words.PROVISIONER:
            self._queue.add(Key("image", "", words.volume_name(last)))

    def _volume_changed(self, old: Obj | None, new: Obj | None) -> None:
        last = new or old
        assert last is not None
        if words.local_node(last) != self._node:
            return
        self._queue.add(Key("volume" if new is not None else "image", "", meta.name_of(last)))
        reference = last["spec"].get("claimRef")
        if new is None and reference:
            # Deleted before the claim had it: the claim wants another.
            self._queue.add(Key("claim", reference.get("namespace", ""), reference.get("name", "")))

    async def _do(self, key: Key) -> None:
        match key.kind:
            case "claim":
                await self._provision(key)
            case "volume":
                await self._keep(key)
            case "image":
                await self._look_after(key)

    def _failed(self, key: Key, error: Exception) -> None:
        away = isinstance(error, StatusError | ConnectionError)
        known = away or isinstance(error, VolumeError | OSError | NoRoom | Refused)
        level = logging.INFO if away else logging.WARNING
        log.log(level, "%s %s: %s", key.kind, key.name, error, exc_info=None if known else error)

    # Making

    async def _provision(self, key: Key) -> None:
        claim = await self._read(PERSISTENT_VOLUME_CLAIMS, key.name, key.namespace)
        if claim is None or not decide.to_provision(claim, self._node):
            return
        name = f"{key.namespace}/{key.name}"
        text = f'External provisioner is provisioning volume for claim "{name}"'
        self._recorder.event(claim, "Normal", "Provisioning", text)
        try:
            await self._make(claim)
        except NoRoom as error:
            self._tell_failed(claim, f"ResourceExhausted: {error}")
            await self._give_back(claim)
        except (Refused, VolumeError, OSError) as error:
            self._tell_failed(claim, str(error))
            raise

    async def _make(self, claim: Obj) -> None:
        storage_class = await self._read(STORAGE_CLASSES, words.class_of(claim))
        if storage_class is None:
            raise Refused(f'storageclass.storage.k8s.io "{words.class_of(claim)}" not found')
        what = decide.wanted(claim, storage_class)
        note = await self._local.make(decide.note_for(claim, storage_class, what))
        newest = await self._read(PERSISTENT_VOLUME_CLAIMS, meta.name_of(claim), meta.namespace_of(claim))
        if (
            newest is None
            or newest["metadata"]["uid"] != note.uid
            or not decide.to_provision(newest, self._node)
        ):
            self._queue.add(Key("image", "", note.name))
            return
        node = await self._client.get(NODES, self._node)
        labels = node["metadata"].get("labels") or {}
        volume = decide.volume_for(newest, storage_class, note, self._node, labels)
        try:
            await self._client.create(PERSISTENT_VOLUMES, volume)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            volume = await self._client.get(PERSISTENT_VOLUMES, note.name)
            if not decide.mine(volume, newest, self._node):
                self._queue.add(Key("image", "", note.name))
                return
        await self._local.update(images.committed(note, volume["spec"]["persistentVolumeReclaimPolicy"]))
        text = f"Successfully provisioned volume {note.name}"
        self._recorder.event(newest, "Normal", "ProvisioningSucceeded", text)

    def _tell_failed(self, claim: Obj, why: str) -> None:
        text = f'failed to provision volume with StorageClass "{words.class_of(claim)}": {why}'
        self._recorder.event(claim, "Warning", "ProvisioningFailed", text)

    async def _give_back(self, claim: Obj) -> None:
        """Another node may have room."""
        patch = {"metadata": {**_as_it_was(claim), "annotations": {words.SELECTED_NODE: None}}}
        await self._client.patch(
            PERSISTENT_VOLUME_CLAIMS, meta.name_of(claim), patch, meta.namespace_of(claim)
        )

    # Keeping

    async def _keep(self, key: Key) -> None:
        volume = await self._read(PERSISTENT_VOLUMES, key.name)
        if volume is None:
            await self._look_after(key)
            return
        if words.local_node(volume) != self._node:
            return
        await self._note_policy(volume)
        if decide.to_delete(volume, self._node):
            await self._delete(volume)
            return
        if (wanted := decide.finalizers(volume)) is not None:
            volume = await self._set_finalizers(volume, wanted)
        reference = volume["spec"].get("claimRef")
        if reference:
            claim = await self._read(
                PERSISTENT_VOLUME_CLAIMS, reference["name"], reference.get("namespace", "")
            )
            await self._grow(volume, claim)

    async def _note_policy(self, volume: Obj) -> None:
        note = await self._local.note(meta.name_of(volume))
        if note is not None:
            policy = str(volume["spec"].get("persistentVolumeReclaimPolicy") or "Delete")
            await self._local.update(images.committed(note, policy))

    async def _delete(self, volume: Obj) -> None:
        """The image, then the object, then what held the object."""
        name = meta.name_of(volume)
        try:
            if not await self._local.discard(name):
                # `unmounted` comes back to it.
                return
        except OSError as error:
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
            raise
        if not meta.deleting(volume):
            await self._client.delete(PERSISTENT_VOLUMES, name, uid=volume["metadata"]["uid"])
        left = await self._read(PERSISTENT_VOLUMES, name)
        if left is not None and left["metadata"]["uid"] == volume["metadata"]["uid"]:
            await self._set_finalizers(left, decide.without_finalizer(left))

    async def _set_finalizers(self, volume: Obj, wanted: list[str]) -> Obj:
        patch = {"metadata": {**_as_it_was(volume), "finalizers": wanted}}
        return await self._client.patch(PERSISTENT_VOLUMES, meta.name_of(volume), patch)

    async def _look_after(self, key: Key) -> None:
        """An image that the cluster may not know any more."""
        note = await self._local.note(key.name)
        if note is None:
            return
        volume = await self._read(PERSISTENT_VOLUMES, key.name)
        claim = await self._read(PERSISTENT_VOLUME_CLAIMS, note.claim, note.namespace)
        if decide.is_orphan(note, decide.Orphan(volume, claim), self._node):
            log.info("removing the image %s, which belongs to nobody", key.name)
            await self._local.discard(key.name)

    # Growing

    async def _grow(self, volume: Obj, claim: Obj | None) -> None:
        wanted = decide.growth(volume, claim, self._node)
        if wanted is None or claim is None:
            return
        name = meta.name_of(volume)
        try:
            size = await self._local.grow(str(volume["spec"]["csi"]["volumeHandle"]), wanted)
        except Later:
            if not decide.is_pending(claim):
                await self._patch_status(claim, decide.grows_later(claim, self._stamp()))
            return
        except (NoRoom, VolumeError, OSError) as error:
            text = f"resize volume {name} failed: {error}"
            self._recorder.event(claim, "Warning", "VolumeResizeFailed", text)
            if not decide.is_infeasible(claim):
                await self._patch_status(claim, decide.cannot_grow(claim, text, self._stamp()))
            raise
        asked = str(claim["status"]["allocatedResources"]["storage"])
        capacity = decide.written(size, asked)
        if words.capacity(volume) != capacity:
            patch = {"metadata": _as_it_was(volume), "spec": {"capacity": {"storage": capacity}}}
            await self._client.patch(PERSISTENT_VOLUMES, name, patch)
        await self._patch_status(claim, decide.grown(claim, capacity))
        text = f'MountVolume.NodeExpandVolume succeeded for volume "{name}" {self._node}'
        self._recorder.event(claim, "Normal", "FileSystemResizeSuccessful", text)

    async def _patch_status(self, claim: Obj, status: Obj) -> None:
        patch = {"metadata": _as_it_was(claim), "status": status}
        await self._client.patch(
            PERSISTENT_VOLUME_CLAIMS,
            meta.name_of(claim),
            patch,
            meta.namespace_of(claim),
            subresource="status",
        )

    def _stamp(self) -> str:
        return meta.timestamp(self._now())

    async def _read(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        try:
            return await self._client.get(resource, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None


def _as_it_was(obj: Obj) -> Obj:
    """Metadata that make a patch fail where the object has changed meanwhile."""
    return {"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}
