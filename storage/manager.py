"""The volume manager: mounts, keeps current and takes away the volumes of the pods on one node.

What is on disk and in the kernel's mount table is the truth: after a restart `known` reads it back, and
mounting again takes over what is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from podium.api.types.storage import PROVISIONER
from podium.api.types.volume_matching import reaches
from podium.client.base import Client
from podium.client.clock import Clock
from podium.client.informer import Informer
from podium.storage import folders, persistent, usage
from podium.storage.base import MountedVolume, Plugin, Request, type_of
from podium.storage.emptydir import FOLDER as EMPTY_DIR
from podium.storage.emptydir import EmptyDirPlugin
from podium.storage.errors import Unbound, VolumeError, failed
from podium.storage.hostpath import HostPathPlugin
from podium.storage.local import LocalPlugin
from podium.storage.locks import Locks
from podium.storage.nfs import NfsPlugin
from podium.storage.payloads import FOLDERS, PayloadPlugin
from podium.storage.provisioner.plugin import LocalClaimPlugin
from podium.storage.provisioner.provisioner import Provisioner
from podium.storage.provisioner.volumes import FOLDER as CSI_FOLDER
from podium.storage.provisioner.volumes import LocalVolumes
from podium.storage.subpath import bind_subpath
from podium.storage.tokens import utc_now
from podium.storage.waiting import Waiting

log = logging.getLogger(__name__)

_NOT_COUNTED = frozenset({"hostPath", "image"})


class VolumeManager:
    """`start` before the first pod, `close` at the end; the volumes themselves stay. One call per pod at a
    time does something; others for the same pod wait.

    `claims_dir` is where the built-in provisioner keeps its volumes; without it nothing is provisioned
    here."""

    def __init__(
        self,
        client: Client,
        *,
        node_name: str,
        pods_dir: Path,
        claims_dir: Path | None = None,
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._node_name = node_name
        self._pods_dir = Path(pods_dir)
        self._waiting = Waiting()
        self._payloads = PayloadPlugin(client, node_name, waited=self._waiting.tell, now=now, clock=clock)
        self._local = LocalVolumes(claims_dir or self._pods_dir.parent / "claims", self._pods_dir)
        self._plugins: dict[str, Plugin] = {
            "emptyDir": EmptyDirPlugin(),
            "hostPath": HostPathPlugin(),
            "csi": LocalClaimPlugin(self._local, node_name),
            "local": LocalPlugin(),
            "nfs": NfsPlugin(),
        }
        self._plugins.update(dict.fromkeys(FOLDERS, self._payloads))
        self._locks: Locks[str] = Locks()
        self._used: Callable[[], None] | None = None
        self._mounted: dict[str, Mapping[str, MountedVolume]] = {}
        self._informers: list[Informer] = []
        self._provisioner: Provisioner | None = None
        if claims_dir is not None:
            claims = Informer(client, PERSISTENT_VOLUME_CLAIMS)
            volumes = Informer(client, PERSISTENT_VOLUMES)
            claims.add_handler(self._waiting.claim_changed)
            self._informers = [claims, volumes]
            self._provisioner = Provisioner(
                client, node_name, self._local, claims, volumes, now=now, clock=clock
            )
        self._tasks: list[asyncio.Task[None]] = []

    def add_plugin(self, type: str, plugin: Plugin) -> None:
        """For a volume type that needs what only others have."""
        self._plugins[type] = plugin

    def on_change(self, retry: Callable[[str], None], used: Callable[[], None]) -> None:
        """`retry` is called with the uid of a pod whose volumes could not be mounted and perhaps can be
        now; `used` when `in_use` has changed."""
        self._waiting.retry = retry
        self._used = used

    async def start(self) -> None:
        """From now on mounted volumes follow their objects, and claims are provisioned. Idempotent."""
        if self._tasks:
            return
        self._tasks = [asyncio.create_task(self._payloads.run(), name="volume-updates")]
        if self._provisioner is not None:
            await self._local.sweep()
            self._tasks += [asyncio.create_task(each.run()) for each in self._informers]
            self._tasks.append(asyncio.create_task(self._provisioner.run(), name="provisioner"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        if self._provisioner is not None:
            await self._provisioner.close()
        await self._payloads.close()

    async def mount(self, pod: Obj) -> dict[str, MountedVolume]:
        """Every volume of the pod by its name. Idempotent. Raises VolumeError for the first that cannot be
        mounted; the others are, or will be with the next call."""
        await self.start()
        uid = str(pod["metadata"]["uid"])
        volumes = pod["spec"].get("volumes") or ()
        self._waiting.add(uid, _claims(pod))
        async with self._locks.held(uid):
            results = await asyncio.gather(
                *(self._mount_one(pod, volume) for volume in volumes), return_exceptions=True
            )
        mounted: dict[str, MountedVolume] = {}
        failures: dict[str, BaseException] = {}
        for volume, result in zip(volumes, results, strict=True):
            if isinstance(result, BaseException):
                failures[volume["name"]] = result
            else:
                mounted[volume["name"]] = result
        if failures:
            raise _worst(failures)
        self._waiting.forget(uid)
        new = uid not in self._mounted
        self._mounted[uid] = mounted
        if new and self._used is not None and any(True for _ in _claims(pod)):
            self._used()
        return mounted

    async def unmount(self, uid: str, *, keep: bool = False) -> None:
        """Unmounts and removes what belongs to the pod alone. Idempotent. With `keep` its emptyDirs on the
        disk stay: the pod goes on after the machine has been off. Raises OSError."""
        async with self._locks.held(uid):
            # Not before: a mount that is under way writes both when it ends.
            self._waiting.forget(uid)
            self._mounted.pop(uid, None)
            for plugin in dict.fromkeys(self._plugins.values()):
                await plugin.release(uid)
            had = await asyncio.to_thread(folders.has_plugin, self._pods_dir, uid, CSI_FOLDER)
            kept = EMPTY_DIR if keep else ""
            await asyncio.to_thread(folders.remove, self._pods_dir, uid, keep=kept)
        if had:
            await self._release()

    async def _release(self) -> None:
        """What the last pod has let go of: detached, and perhaps waited for."""
        for name in await self._local.release_unused():
            if self._provisioner is not None:
                self._provisioner.unmounted(name)
        self._waiting.retry_all()
        if self._used is not None:
            self._used()

    async def known(self) -> set[str]:
        """Uids of pods with volumes on this machine."""
        return await asyncio.to_thread(folders.known, self._pods_dir)

    async def release_unused(self) -> None:
        """Detaches the claims' volumes that no pod uses, whatever a crash left. Idempotent. Raises
        OSError."""
        await self._local.sweep()

    async def stats(self, pod: Obj) -> list[Obj]:
        """What the pod's mounted volumes hold, as the Summary's `volume` lists it: not those that are the
        node's."""
        mounted = self._mounted.get(str(pod["metadata"]["uid"]), {})
        found = []
        for volume in pod["spec"].get("volumes") or ():
            there = mounted.get(volume["name"])
            if there is None or there.kind != "dir" or type_of(volume) in _NOT_COUNTED:
                continue
            try:
                found.append(await asyncio.to_thread(_stats, pod, volume, there.path))
            except OSError as error:
                log.debug("no statistics of volume %s: %s", volume["name"], error)
        return found

    async def in_use(self) -> list[str]:
        """The claims' volumes that are in use on this node, as a Node's status names them."""
        return [f"kubernetes.io/csi/{PROVISIONER}^{name}" for name in await self._local.in_use()]

    async def subpath(
        self, uid: str, volume: str, path: str, subpath: str, *, container: str, index: int
    ) -> str:
        """What a container gets for its volumeMount number `index` with a subPath: a bind mount that no
        symlink can lead out of the volume, whose MountedVolume has `path`. It goes with the pod. Idempotent.
        Raises VolumeError."""
        target = folders.subpath_target(self._pods_dir, uid, volume, container, index)
        async with self._locks.held(uid):
            try:
                return await asyncio.to_thread(bind_subpath, path, subpath, target)
            except OSError as error:
                raise VolumeError(
                    "CreateContainerConfigError",
                    f'failed to prepare subPath for volumeMount "{volume}": {error}',
                ) from error

    async def _mount_one(self, pod: Obj, volume: Obj) -> MountedVolume:
        name = str(volume["name"])
        if type_of(volume) not in persistent.CLAIMS:
            return await self._plugin_mount(pod, name, type_of(volume), volume.get(type_of(volume)) or {})
        claimed = await persistent.resolve(self._client, pod, volume)
        source = claimed.volume["spec"].get(claimed.type) or {}
        return await self._plugin_mount(pod, claimed.name, claimed.type, source, claimed)

    async def _plugin_mount(
        self, pod: Obj, name: str, kind: str, source: Obj, claimed: persistent.Claimed | None = None
    ) -> MountedVolume:
        try:
            plugin = self._plugins.get(kind)
            if plugin is None:
                raise failed(f'volume type "{kind}" is not supported')
            if claimed is not None:
                await self._require_reached(claimed.volume)
            folder = folders.volume_folder(
                self._pods_dir, str(pod["metadata"]["uid"]), plugin.folder(kind), name
            )
            volume, read_only = (claimed.volume, claimed.read_only) if claimed else (None, False)
            return await plugin.mount(Request(pod, name, kind, source, folder, volume, read_only))
        except VolumeError as error:
            if error.image:
                raise
            text = f'{error.step} failed for volume "{name}" : {error.message}'
            raise VolumeError(error.reason, text) from error
        except OSError as error:
            raise VolumeError(
                "FailedMount", f'MountVolume.SetUp failed for volume "{name}" : {error}'
            ) from error

    async def _require_reached(self, volume: Obj) -> None:
        """Raises VolumeError where the volume cannot be used from this node."""
        if "nodeAffinity" not in volume["spec"]:
            return
        try:
            node = await self._client.get(NODES, self._node_name)
        except (StatusError, ConnectionError) as error:
            raise failed(f"cannot read node {self._node_name}: {error}") from error
        if not reaches(volume, node["metadata"].get("labels") or {}):
            raise failed("no matching NodeSelectorTerms", "MountVolume.NodeAffinity check")


def _stats(pod: Obj, volume: Obj, path: str) -> Obj:
    """Raises OSError."""
    claim = type_of(volume) in persistent.CLAIMS
    own = claim or bool((volume.get("emptyDir") or {}).get("medium"))
    found = usage.volume_stats(str(volume["name"]), path, own=own)
    if claim:
        name = persistent.claim_name(pod, volume)
        found["pvcRef"] = {"name": name, "namespace": meta.namespace_of(pod)}
    return found


def _claims(pod: Obj) -> Iterable[tuple[str, str]]:
    """Namespace and name of every claim that the pod names."""
    for volume in pod["spec"].get("volumes") or ():
        if type_of(volume) in persistent.CLAIMS:
            yield meta.namespace_of(pod), persistent.claim_name(pod, volume)


def _worst(failures: Mapping[str, BaseException]) -> BaseException:
    """What to tell of several failures. Claims that nobody can make a volume of yet are told together, by
    the names that the pod gives its volumes."""
    unbound = {name: error for name, error in failures.items() if isinstance(error, Unbound)}
    if len(unbound) < len(failures):
        return next(error for name, error in failures.items() if name not in unbound)
    names = " ".join(sorted(unbound))
    why = "; ".join(dict.fromkeys(error.message for error in unbound.values()))
    return Unbound(
        f"Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[], "
        f"failed to process volumes=[{names}]: {why}"
    )
