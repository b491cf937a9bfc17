"""Takes the protecting finalizers off claims that no pod uses, volumes that no claim has, and classes of
attributes that neither names.

Source: kubernetes.io "Persistent Volumes", section "Storage Object in Use Protection".
"""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.types import Obj
from podium.api.types.meta import deleting, key_of, split_key
from podium.api.types.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTRIBUTES_CLASSES,
    Resource,
)
from podium.api.types.storage import PV_PROTECTION, PVC_PROTECTION, VAC_PROTECTION
from podium.client.base import Client
from podium.control.controller import Context, Controller
from podium.control.volumes.users import BY_CLAIM, by_claim, keeps


def with_finalizers(obj: Obj, finalizers: list[str]) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}}


async def protect(client: Client, resource: Resource, obj: Obj, finalizer: str, used: bool) -> None:
    """Puts the finalizer on what lives without it, and takes it off what is deleted and not used."""
    finalizers = list(obj["metadata"].get("finalizers") or ())
    if deleting(obj):
        if finalizer in finalizers and not used:
            kept = [entry for entry in finalizers if entry != finalizer]
            await client.update(resource, with_finalizers(obj, kept))
    elif finalizer not in finalizers:
        await client.update(resource, with_finalizers(obj, [*finalizers, finalizer]))


def _unsettled(obj: Obj, finalizer: str) -> bool:
    return deleting(obj) == (finalizer in (obj["metadata"].get("finalizers") or ()))


class ClaimProtection(Controller):
    """Keys are claims."""

    name = "persistentvolumeclaim-protection"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._claim_changed)
        self.pods = self.watch(PODS, self._pod_changed, {BY_CLAIM: by_claim})

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is not None and _unsettled(new, PVC_PROTECTION):
            yield key_of(new)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        """A pod may let go of its claims when it is deleted, and finally when it has gone."""
        pod = new or old
        if pod is not None and (new is None or deleting(new)):
            for key in by_claim(pod):
                namespace, name = split_key(key)
                claim = self.claims.get(name, namespace)
                if claim is not None and deleting(claim):
                    yield key

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        claim = self.claims.get(name, namespace)
        if claim is not None and _unsettled(claim, PVC_PROTECTION):
            used = deleting(claim) and await self._used(claim)
            await protect(self.client, PERSISTENT_VOLUME_CLAIMS, claim, PVC_PROTECTION, used)

    async def _used(self, claim: Obj) -> bool:
        """The cache may not know the newest pod yet: that a claim is free is believed to the server only."""
        if any(keeps(pod, claim) for pod in self.pods.by_index(BY_CLAIM, key_of(claim))):
            return True
        pods = await self.client.list(PODS, claim["metadata"]["namespace"])
        return any(keeps(pod, claim) for pod in pods.items)


class VolumeProtection(Controller):
    """Keys are volumes."""

    name = "persistentvolume-protection"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.volumes = self.watch(PERSISTENT_VOLUMES, self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is not None and _unsettled(new, PV_PROTECTION):
            yield key_of(new)

    async def reconcile(self, key: str) -> None:
        volume = self.volumes.get(key)
        if volume is not None and _unsettled(volume, PV_PROTECTION):
            used = (volume.get("status") or {}).get("phase") == "Bound"
            await protect(self.client, PERSISTENT_VOLUMES, volume, PV_PROTECTION, used)


BY_ATTRIBUTES = "volume attributes"


def by_attributes(obj: Obj) -> set[str]:
    """The indexer BY_ATTRIBUTES: the VolumeAttributesClasses that a claim or a volume wants, has or is
    getting."""
    status = obj.get("status") or {}
    names = (
        obj["spec"].get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return {name for name in names if name}


class AttributesProtection(Controller):
    """Keys are VolumeAttributesClasses."""

    name = "volumeattributesclass-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.classes = self.watch(VOLUME_ATTRIBUTES_CLASSES, self._changed)
        self.users = [
            self.watch(resource, self._let_go, {BY_ATTRIBUTES: by_attributes})
            for resource in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)
        ]

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if new is not None and _unsettled(new, VAC_PROTECTION):
            yield key_of(new)

    def _let_go(self, old: Obj | None, new: Obj | None) -> Iterator[str]:
        if old is not None:
            yield from by_attributes(old) - (by_attributes(new) if new is not None else set())

    async def reconcile(self, key: str) -> None:
        found = self.classes.get(key)
        if found is not None and _unsettled(found, VAC_PROTECTION):
            used = any(informer.by_index(BY_ATTRIBUTES, key) for informer in self.users)
            await protect(self.client, VOLUME_ATTRIBUTES_CLASSES, found, VAC_PROTECTION, used)
