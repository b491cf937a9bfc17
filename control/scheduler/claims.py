"""A pod's claims: is there a node from which all of them can be used, and what is to be done for those not
bound yet.

Source: "Persistent Volumes", "Storage Classes" (volumeBindingMode, allowedTopologies) and "Storage
Capacity" in the Kubernetes documentation; KEP-2485 (ReadWriteOncePod).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from podium.api.types import Obj, quantity
from podium.api.types import volume_matching as matching
from podium.api.types.selectors import from_label_selector
from podium.api.types.storage import BIND_COMPLETED, SELECTED_NODE, class_of, requested
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Needs, Placed
from podium.control.scheduler.picture import NodePicture, Picture
from podium.control.scheduler.profiles import Profile
from podium.control.scheduler.storage import NO_STORAGE, Binding, Storage, VolumePlan

__all__ = ["NO_STORAGE", "PodClaims", "Storage", "VolumePlan", "pod_claims"]

NO_PROVISIONER = "kubernetes.io/no-provisioner"
_ZONES = {
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}

_IN_USE = Failure(
    "VolumeRestrictions",
    (
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by"
        " another pod",
    ),
    resolvable=True,
)
_TOO_MANY = Failure("NodeVolumeLimits", ("node(s) exceed max volume count",), resolvable=True)
_ZONE = Failure("VolumeZone", ("node(s) had no available volume zone",))
_NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
_BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind"
_NO_SPACE = "node(s) did not have enough free storage"
_UNBOUND = Failure("VolumeBinding", ("pod has unbound immediate PersistentVolumeClaims",))


class _Bound(NamedTuple):
    """Where a bound volume can be used from."""

    volume: Obj
    zones: tuple[tuple[str, frozenset[str]], ...]


@dataclass
class _Unbound:
    """A claim that is bound once the pod has a node. `selected` is the node it is being provisioned for."""

    key: str
    claim: Obj
    request: int
    storage_class: str
    selected: str


class PodClaims:
    """All claims of one pod, looked at once and then checked against nodes."""

    def __init__(self, needs: Needs, storage: Storage, picture: Picture, profile: Profile) -> None:
        self._storage, self._picture, self._filters = storage, picture, profile.filters
        self._bound: list[_Bound] = []
        self._unbound: list[_Unbound] = []
        self._exclusive: list[str] = []
        self._drivers: dict[str, str] = {}
        self._namespace = needs.namespace

    def add_bound(self, volume: Obj) -> None:
        self._bound.append(_Bound(volume, _zones(volume)))

    def add_unbound(self, key: str, claim: Obj) -> None:
        selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE, "")
        name = class_of(claim)
        self._unbound.append(
            _Unbound(
                key, claim, quantity.value(requested(claim)), name, self._storage.selected(key) or selected
            )
        )
        self._unbound.sort(key=lambda entry: entry.request)

    def add_use(self, key: str, claim: Obj) -> None:
        if "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ()):
            self._exclusive.append(key)
        if driven := _driven(self._storage, key, claim):
            self._drivers[driven[1]] = driven[0]

    def check(self, node: NodePicture) -> Failure | None:
        filters = self._filters
        if "VolumeRestrictions" in filters and any(self._picture.claims.get(key) for key in self._exclusive):
            return _IN_USE
        if "NodeVolumeLimits" in filters and self._drivers and self._exceeds(node):
            return _TOO_MANY
        if "VolumeBinding" in filters and (failure := self._binding(node)) is not None:
            return failure
        if "VolumeZone" in filters and not all(_in_zone(bound.zones, node.labels) for bound in self._bound):
            return _ZONE
        return None

    def _exceeds(self, node: NodePicture) -> bool:
        limits = _limits(self._storage.csi_node(node.name))
        if not limits:
            return False
        present: dict[str, str] = {}
        for pod in node.pods.values():
            present.update(_attached(self._storage, pod))
        for driver, most in limits.items():
            fresh = sum(name == driver and handle not in present for handle, name in self._drivers.items())
            if fresh and fresh + sum(name == driver for name in present.values()) > most:
                return True
        return False

    def _binding(self, node: NodePicture) -> Failure | None:
        reasons = []
        if not all(matching.reaches(bound.volume, node.labels) for bound in self._bound):
            reasons.append(_NODE_CONFLICT)
        planned = self._plan(node) if self._unbound else None
        if isinstance(planned, str):
            reasons.append(planned)
        return Failure("VolumeBinding", tuple(reasons)) if reasons else None

    def plan(self, node: NodePicture) -> VolumePlan | None:
        """What is to be done so that the pod can run there; None for nothing."""
        planned = self._plan(node) if self._unbound else None
        return planned if isinstance(planned, VolumePlan) else None

    def _plan(self, node: NodePicture) -> VolumePlan | str:
        """The plan, or why there is none."""
        bindings: list[Binding] = []
        provisions: list[str] = []
        for entry in self._unbound:
            if entry.selected and entry.selected != node.name:
                return _BIND_CONFLICT
            found = None if entry.selected else self._match(entry, node, bindings)
            if found is not None:
                bindings.append(Binding(found["metadata"]["name"], entry.key))
                continue
            if not self._provisionable(entry, node):
                return _BIND_CONFLICT
            if not self._roomy(entry, node):
                return _NO_SPACE
            provisions.append(entry.key)
        return VolumePlan(node.name, tuple(bindings), tuple(provisions))

    def _match(self, entry: _Unbound, node: NodePicture, taken: list[Binding]) -> Obj | None:
        """The volume that is reserved for the claim, or the smallest that fits and is on the node."""
        chosen = {binding.volume for binding in taken}
        free = (
            volume
            for volume in self._storage.of_class(entry.storage_class)
            if self._storage.promised(volume["metadata"]["name"]) in (None, entry.key)
        )
        return matching.smallest(entry.claim, free, node.labels, chosen)

    def _provisionable(self, entry: _Unbound, node: NodePicture) -> bool:
        found = self._storage.storage_class(entry.storage_class)
        if found is None or (found.get("provisioner") or NO_PROVISIONER) == NO_PROVISIONER:
            return False
        terms = found.get("allowedTopologies") or ()
        return not terms or any(
            all(
                node.labels.get(expression["key"]) in expression["values"]
                for expression in term.get("matchLabelExpressions") or ()
            )
            for term in terms
        )

    def _roomy(self, entry: _Unbound, node: NodePicture) -> bool:
        """Whether the driver, where it publishes that, says that there is room for the claim."""
        found = self._storage.storage_class(entry.storage_class) or {}
        driver = self._storage.csi_driver(found.get("provisioner", ""))
        if driver is None or not driver["spec"].get("storageCapacity"):
            return True
        for capacity in self._storage.capacities(entry.storage_class):
            limit = capacity.get("maximumVolumeSize") or capacity.get("capacity")
            if limit is None or quantity.value(limit) < entry.request:
                continue
            topology = capacity.get("nodeTopology")
            if topology is not None and from_label_selector(topology).matches(node.labels):
                return True
        return False


def pod_claims(needs: Needs, storage: Storage, picture: Picture, profile: Profile) -> PodClaims | Failure:
    """The pod's claims, or why no node can have it."""
    claims = PodClaims(needs, storage, picture, profile)
    if (failure := _missing(needs, storage)) is not None:
        return failure
    for volume in needs.volumes:
        key = f"{needs.namespace}/{volume.claim}"
        claim = storage.claim(needs.namespace, volume.claim)
        assert claim is not None
        claims.add_use(key, claim)
        name = claim["spec"].get("volumeName")
        if name and BIND_COMPLETED in (claim["metadata"].get("annotations") or {}):
            found = storage.volume(name)
            if found is None:
                return Failure("VolumeZone", (f'persistentvolume "{name}" not found',))
            claims.add_bound(found)
        elif not name and _delayed(claim, storage):
            claims.add_unbound(key, claim)
        else:
            return _UNBOUND
    return claims


def _missing(needs: Needs, storage: Storage) -> Failure | None:
    for volume in needs.volumes:
        if not volume.ephemeral and storage.claim(needs.namespace, volume.claim) is None:
            return Failure("VolumeRestrictions", (f'persistentvolumeclaim "{volume.claim}" not found',))
    for volume in needs.volumes:
        claim = storage.claim(needs.namespace, volume.claim)
        if reason := _unusable(needs, volume.claim, claim, volume.ephemeral):
            return Failure("VolumeBinding", (reason,))
    return None


def _unusable(needs: Needs, name: str, claim: Obj | None, ephemeral: bool) -> str:
    if claim is None:
        return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
    if (claim.get("status") or {}).get("phase") == "Lost":
        volume = claim["spec"].get("volumeName", "")
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
    if "deletionTimestamp" in claim["metadata"]:
        return f'persistentvolumeclaim "{name}" is being deleted'
    owners = claim["metadata"].get("ownerReferences") or ()
    if ephemeral and not any(owner.get("controller") and owner["uid"] == needs.uid for owner in owners):
        where = needs.namespace
        return f"PVC {where}/{name} was not created for pod {where}/{needs.name} (pod is not owner)"
    return ""


def _delayed(claim: Obj, storage: Storage) -> bool:
    name = class_of(claim)
    found = storage.storage_class(name) if name else None
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _zones(volume: Obj) -> tuple[tuple[str, frozenset[str]], ...]:
    labels = volume["metadata"].get("labels") or {}
    return tuple((key, frozenset(labels[key].split("__"))) for key in _ZONES if key in labels)


def _in_zone(zones: Iterable[tuple[str, frozenset[str]]], labels: Mapping[str, str]) -> bool:
    if not any(key in labels for key in _ZONES):
        return True
    return all(labels.get(key, labels.get(_ZONES[key], "")) in values for key, values in zones)


def _driven(storage: Storage, key: str, claim: Obj) -> tuple[str, str] | None:
    """(driver, handle) of the claim's volume, made or to be made, where a driver limits how many there can
    be."""
    volume = storage.volume(claim["spec"].get("volumeName") or "")
    if volume is not None:
        source = volume["spec"].get("csi")
        return (source["driver"], source["volumeHandle"]) if source else None
    found = storage.storage_class(class_of(claim))
    return (found["provisioner"], f"claim {key}") if found is not None else None


def _attached(storage: Storage, pod: Placed) -> dict[str, str]:
    """Handle → driver of the volumes of a placed pod."""
    found: dict[str, str] = {}
    for key in pod.claims:
        namespace, _, name = key.partition("/")
        claim = storage.claim(namespace, name)
        if claim is not None and (driven := _driven(storage, key, claim)):
            found[driven[1]] = driven[0]
    return found


def _limits(csi_node: Obj | None) -> dict[str, int]:
    """Driver → how many volumes it can attach to the node."""
    return {
        driver["name"]: driver["allocatable"]["count"]
        for driver in ((csi_node or {}).get("spec") or {}).get("drivers") or ()
        if (driver.get("allocatable") or {}).get("count") is not None
    }
