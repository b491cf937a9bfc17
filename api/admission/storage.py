"""Storage: what is in use is not taken away, a claim without a class gets the default one, and only what its
class lets grow may grow."""

from __future__ import annotations

from podium.api.admission.defaults import newest_default
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.groups.core.claim_spec import storage_of
from podium.api.types import quantity
from podium.api.types.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTRIBUTES_CLASSES,
)
from podium.api.types.storage import (
    DEFAULT_CLASS_ANNOTATIONS,
    PV_PROTECTION,
    PVC_PROTECTION,
    VAC_PROTECTION,
    class_of,
    has_class,
)

# Who uses an object keeps it by these finalizers; the controllers that know take them off.
FINALIZERS = (
    (PERSISTENT_VOLUME_CLAIMS, PVC_PROTECTION),
    (PERSISTENT_VOLUMES, PV_PROTECTION),
    (VOLUME_ATTRIBUTES_CLASSES, VAC_PROTECTION),
)
NOT_BOUND = "Only bound persistent volume claims can be expanded"
NOT_EXPANDABLE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
    "support resize"
)


class StorageObjectInUseProtection:
    name = "StorageObjectInUseProtection"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        for resource, finalizer in FINALIZERS:
            obj = request.creates(resource)
            if obj is not None and finalizer not in (obj["metadata"].get("finalizers") or ()):
                obj["metadata"]["finalizers"] = [*(obj["metadata"].get("finalizers") or ()), finalizer]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A finalizer refuses nothing by itself."""


class DefaultStorageClass:
    name = "DefaultStorageClass"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        claim = request.creates(PERSISTENT_VOLUME_CLAIMS)
        if claim is None or has_class(claim):
            return
        if default := newest_default(cluster, STORAGE_CLASSES, *DEFAULT_CLASS_ANNOTATIONS):
            claim["spec"]["storageClassName"] = default["metadata"]["name"]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A default refuses nothing."""


class PersistentVolumeClaimResize:
    name = "PersistentVolumeClaimResize"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A check changes nothing."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        claim, old = request.obj, request.old
        if not request.concerns(PERSISTENT_VOLUME_CLAIMS) or claim is None or old is None:
            return
        wanted, had = (quantity.parse(storage_of(entry["spec"]) or "0") for entry in (claim, old))
        if wanted <= had:
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise request.refuse(NOT_BOUND)
        name = class_of(claim)
        found = cluster.lookup(STORAGE_CLASSES, "", name) if name and name == class_of(old) else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise request.refuse(NOT_EXPANDABLE)
