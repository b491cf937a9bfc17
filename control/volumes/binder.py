"""Brings claims and volumes together, and says of both how far that is.

Every write carries the version it was decided from: of two claims that want one volume the second one's
write conflicts, and it looks again. A binding is four writes (volume, its phase, claim, its phase); whatever
of them is missing after a crash is made up at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import key_of, split_key
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from podium.api.types.storage import (
    BETA_STORAGE_PROVISIONER,
    BIND_COMPLETED,
    STORAGE_PROVISIONER,
    annotation,
    class_of,
)
from podium.control.controller import Context, Controller
from podium.control.pods import is_finished
from podium.control.volumes import claims, releases
from podium.control.volumes.claims import Told
from podium.control.volumes.users import BY_CLAIM, by_claim

_CLAIM, _VOLUME = "claim/", "volume/"
BY_REFERENCE, FREE, PENDING, NAMED = "claimRef", "free of class", "pending of class", "spec.volumeName"
UNSCHEDULED = 10.0  # seconds that a pod may stay unscheduled before its claims say that they wait for it


def by_reference(volume: Obj) -> Iterable[str]:
    """The indexer BY_REFERENCE: the claim that a volume is for, as `namespace/name`."""
    reference = volume["spec"].get("claimRef")
    return (f"{reference.get('namespace', '')}/{reference.get('name', '')}",) if reference else ()


def free(volume: Obj) -> Iterable[str]:
    """The indexer FREE: the class of a volume that nobody has."""
    available = (volume.get("status") or {}).get("phase") == "Available"
    return (class_of(volume),) if available and not volume["spec"].get("claimRef") else ()


def pending(claim: Obj) -> Iterable[str]:
    """The indexer PENDING: the class of a claim that is not bound."""
    return (class_of(claim),) if annotation(claim, BIND_COMPLETED) is None else ()


def named(claim: Obj) -> Iterable[str]:
    """The indexer NAMED: the volume that a claim names."""
    return (name,) if (name := claim["spec"].get("volumeName")) else ()


class VolumeBinder(Controller):
    """Keys are `claim/NAMESPACE/NAME` and `volume/NAME`."""

    name = "persistentvolume-binder"
    workers = 4

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("persistentvolume-controller")
        self.volumes = self.watch(
            PERSISTENT_VOLUMES, self._volume_changed, {BY_REFERENCE: by_reference, FREE: free}
        )
        self.claims = self.watch(
            PERSISTENT_VOLUME_CLAIMS, self._claim_changed, {PENDING: pending, NAMED: named}
        )
        self.classes = self.watch(STORAGE_CLASSES, self._class_changed)
        self.pods = self.watch(PODS, None, {BY_CLAIM: by_claim})
        self.pods.add_handler(self._pod_changed)

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        claim = new or old
        if claim is None:
            return
        if new is not None:
            yield _CLAIM + key_of(new)
        for volume in self.volumes.by_index(BY_REFERENCE, key_of(claim)):
            yield _VOLUME + volume["metadata"]["name"]

    def _volume_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        volume = new or old
        if volume is None:
            return
        name = volume["metadata"]["name"]
        if new is not None:
            yield _VOLUME + name
        for key in {*by_reference(volume), *(by_reference(old) if old else ())}:
            yield _CLAIM + key
        for claim in self.claims.by_index(NAMED, name):
            yield _CLAIM + key_of(claim)
        if new is not None and (classes := free(new)) and (old is None or not free(old)):
            for class_name in classes:
                for claim in self.claims.by_index(PENDING, class_name):
                    yield _CLAIM + key_of(claim)

    def _class_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        """Claims without any class may get this one."""
        if new is not None:
            for name in (new["metadata"]["name"], ""):
                for claim in self.claims.by_index(PENDING, name):
                    yield _CLAIM + key_of(claim)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is None and new is not None and not new["spec"].get("nodeName"):
            for key in by_claim(new):
                self.queue.add_after(_CLAIM + key, UNSCHEDULED)

    async def reconcile(self, key: str) -> None:
        if key.startswith(_VOLUME):
            volume = self.volumes.get(key.removeprefix(_VOLUME))
            if volume is not None:
                await self._volume(volume)
            return
        namespace, name = split_key(key.removeprefix(_CLAIM))
        claim = self.claims.get(name, namespace)
        if claim is not None:
            await self._claim(claim)

    # --- claims

    async def _claim(self, claim: Obj) -> None:
        match claims.decide(claim, self._seen(claim)):
            case claims.Bind(volume):
                await self._bind(claim, volume)
            case claims.AssignClass(name):
                spec = {**claim["spec"], "storageClassName": name}
                await self.client.update(PERSISTENT_VOLUME_CLAIMS, {**claim, "spec": spec})
            case claims.Provision(provisioner, told):
                await self._ask(claim, provisioner, told)
            case claims.Wait(told):
                if told is not None:
                    self._tell(claim, told)
                await self._claim_status(claim, "Pending", None)
            case claims.Lose(told):
                if (claim.get("status") or {}).get("phase") != "Lost":
                    await self._claim_status(claim, "Lost", None)
                    self._tell(claim, told)

    def _seen(self, claim: Obj) -> claims.Seen:
        name = claim["spec"].get("volumeName")
        key = key_of(claim)
        waiting = [
            pod["metadata"]["name"]
            for pod in self.pods.by_index(BY_CLAIM, key)
            if not pod["spec"].get("nodeName") and not is_finished(pod)
        ]
        return claims.Seen(
            named=self.volumes.get(name) if name else None,
            candidates=[
                *self.volumes.by_index(BY_REFERENCE, key),
                *self.volumes.by_index(FREE, class_of(claim)),
            ],
            classes={entry["metadata"]["name"]: entry for entry in self.classes.list()},
            waiting=sorted(waiting),
        )

    async def _ask(self, claim: Obj, provisioner: str, told: Told) -> None:
        """The provisioner works for the claims that name it."""
        if annotation(claim, STORAGE_PROVISIONER) != provisioner:
            both = {STORAGE_PROVISIONER: provisioner, BETA_STORAGE_PROVISIONER: provisioner}
            meta = claim["metadata"]
            annotations = {**(meta.get("annotations") or {}), **both}
            changed = {**claim, "metadata": {**meta, "annotations": annotations}}
            claim = await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        self._tell(claim, told)

    async def _bind(self, claim: Obj, volume: Obj) -> None:
        if (changed := releases.bound_volume(volume, claim)) is not None:
            volume = await self.client.update(PERSISTENT_VOLUMES, changed)
        volume = await self._phase(volume, releases.Phase("Bound"))
        if (changed := claims.bound_claim(claim, volume)) is not None:
            claim = await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        await self._claim_status(claim, "Bound", volume)

    async def _claim_status(self, claim: Obj, phase: str, volume: Obj | None) -> None:
        wanted = claims.status(claim, phase, volume)
        if wanted != (claim.get("status") or {}):
            await self.client.update(
                PERSISTENT_VOLUME_CLAIMS, {**claim, "status": wanted}, subresource="status"
            )

    # --- volumes

    async def _volume(self, volume: Obj) -> None:
        claim = await self._claimant(volume) if releases.is_reserved(volume) else None
        match releases.decide(volume, claim):
            case releases.Phase() as phase:
                await self._phase(volume, phase)
            case releases.LookAtClaim() if claim is not None:
                self.queue.add(_CLAIM + key_of(claim))
            case releases.Mismatch(volume_told, claim_told) if claim is not None:
                self._tell(volume, volume_told)
                self._tell(claim, claim_told)
            case releases.Unbind():
                volume = await self.client.update(PERSISTENT_VOLUMES, releases.unbound_volume(volume))
                await self._phase(volume, releases.Phase("Available"))

    async def _claimant(self, volume: Obj) -> Obj | None:
        """The claim a volume is bound to. That it is gone is believed to the server only: the cache of
        claims may be behind that of volumes."""
        reference = volume["spec"]["claimRef"]
        name, namespace = reference.get("name", ""), reference.get("namespace", "")
        claim = self.claims.get(name, namespace)
        if claim is not None and claim["metadata"]["uid"] == reference["uid"]:
            return claim
        if (volume.get("status") or {}).get("phase") in releases.OVER:
            return None
        try:
            claim = await self.client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return claim if claim["metadata"]["uid"] == reference["uid"] else None

    async def _phase(self, volume: Obj, phase: releases.Phase) -> Obj:
        former = volume.get("status") or {}
        if former.get("phase") == phase.name:
            return volume
        kept = {key: value for key, value in former.items() if key not in ("message", "reason")}
        status = {**kept, "phase": phase.name}
        if phase.told is not None:
            status["message"] = phase.told.message
        volume = await self.client.update(
            PERSISTENT_VOLUMES, {**volume, "status": status}, subresource="status"
        )
        if phase.told is not None:
            self._tell(volume, phase.told)
        return volume

    def _tell(self, obj: Obj, told: Told) -> None:
        self.recorder.event(obj, told.type, told.reason, told.message)
