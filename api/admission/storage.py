"""Storage: what is in use is not taken away, and a claim without a class gets the default one."""

from __future__ import annotations

from podium.api.admission.defaults import newest_default
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.groups.core.volumes import BETA_CLASS
from podium.api.groups.storage.classes import DEFAULT
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES

# Who uses an object keeps it by these finalizers; the controllers that know take them off.
FINALIZERS = (
    (PERSISTENT_VOLUME_CLAIMS, "kubernetes.io/pvc-protection"),
    (PERSISTENT_VOLUMES, "kubernetes.io/pv-protection"),
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
        if claim is None or claim["spec"].get("storageClassName") is not None:
            return
        if BETA_CLASS in (claim["metadata"].get("annotations") or {}):
            return
        if default := newest_default(cluster, STORAGE_CLASSES, DEFAULT):
            claim["spec"]["storageClassName"] = default["metadata"]["name"]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A default refuses nothing."""
