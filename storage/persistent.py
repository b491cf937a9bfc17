"""From a pod's claim to the volume that it stands for, checked from both ends.

Source: "Persistent Volumes", "Ephemeral Volumes"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from podium.api.types import Obj, meta
from podium.api.types import storage as words
from podium.api.types.errors import StatusError
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, Resource
from podium.client.base import Client
from podium.storage.errors import Unbound

CLAIMS = ("persistentVolumeClaim", "ephemeral")
# What is a mapping in a PersistentVolume's spec and no source.
_NO_SOURCES = frozenset({"capacity", "claimRef", "nodeAffinity"})


class Claimed(NamedTuple):
    """A volume that a pod may use by its claim."""

    claim: Obj
    volume: Obj
    read_only: bool

    @property
    def name(self) -> str:
        return str(self.volume["metadata"]["name"])

    @property
    def type(self) -> str:
        """The field of its source: `csi`, `hostPath`, ..."""
        spec = self.volume["spec"]
        return next((f for f, v in spec.items() if isinstance(v, dict) and f not in _NO_SOURCES), "")


def claim_name(pod: Obj, volume: Obj) -> str:
    """The claim that one of the pod's volumes names; a generic ephemeral volume's is POD-VOLUME."""
    if "ephemeral" in volume:
        return f"{pod['metadata']['name']}-{volume['name']}"
    return str(volume["persistentVolumeClaim"]["claimName"])


async def resolve(client: Client, pod: Obj, volume: Obj) -> Claimed:
    """Reads claim and volume as they are now. Raises Unbound."""
    namespace, name = meta.namespace_of(pod), claim_name(pod, volume)
    try:
        claim = await _get(client, PERSISTENT_VOLUME_CLAIMS, name, namespace, "PVC")
        require_usable(claim)
        if "ephemeral" in volume:
            require_owned(pod, claim)
        found = await _get(client, PERSISTENT_VOLUMES, claim["spec"]["volumeName"], "", "PV")
        require_bound(claim, found)
    except Unbound as error:
        if isinstance(error, NotOwned):
            raise
        raise Unbound(f"error processing PVC {namespace}/{name}: {error.message}") from error
    require_mode(pod, str(volume["name"]), found)
    return Claimed(claim, found, bool((volume.get("persistentVolumeClaim") or {}).get("readOnly")))


class NotOwned(Unbound):
    """The claim has the name of an ephemeral volume's and belongs to somebody else."""


def require_usable(claim: Obj) -> None:
    """Raises Unbound."""
    if meta.deleting(claim) and words.PVC_PROTECTION not in (claim["metadata"].get("finalizers") or ()):
        raise Unbound("PVC is being deleted")
    if (claim.get("status") or {}).get("phase") != "Bound":
        raise Unbound("PVC is not bound")
    if not claim["spec"].get("volumeName"):
        raise Unbound("PVC has empty pvc.Spec.VolumeName")


def require_owned(pod: Obj, claim: Obj) -> None:
    """Raises NotOwned."""
    owner = meta.controller_of(claim)
    if owner is None or owner.get("uid") != pod["metadata"]["uid"]:
        own, its = meta.key_of(pod), meta.key_of(claim)
        raise NotOwned(f"PVC {its} was not created for pod {own} (pod is not owner)")


def require_bound(claim: Obj, volume: Obj) -> None:
    """Raises Unbound."""
    reference, name = volume["spec"].get("claimRef"), volume["metadata"]["name"]
    if not reference:
        raise Unbound(
            f"found PV object {name} but it has a nil pv.Spec.ClaimRef "
            "indicating it is not yet bound to the claim"
        )
    uid = claim["metadata"]["uid"]
    if reference.get("uid") != uid:
        raise Unbound(
            f"found PV object {name} but its pv.Spec.ClaimRef.UID {reference.get('uid', '')} "
            f"does not point to claim.UID {uid}"
        )


def require_mode(pod: Obj, name: str, volume: Obj) -> None:
    """Containers use a volume as files or as a device, as it is. Raises Unbound."""
    mode = volume["spec"].get("volumeMode") or "Filesystem"
    for field, wanted in (("volumeMounts", "Filesystem"), ("volumeDevices", "Block")):
        if mode != wanted and any(use["name"] == name for use in _uses(pod, field)):
            raise Unbound(f"volume {name} has volumeMode {mode}, but is specified in {field}")


def _uses(pod: Obj, field: str) -> Iterator[Obj]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(kind) or ():
            yield from container.get(field) or ()


async def _get(client: Client, resource: Resource, name: str, namespace: str, noun: str) -> Obj:
    try:
        return await client.get(resource, name, namespace)
    except (StatusError, ConnectionError) as error:
        what = f"{noun} {name}" if noun == "PV" else noun
        raise Unbound(f"failed to fetch {what} from API server: {error}") from error
