"""The storage that a new cluster has: the built-in provisioner's driver, and a default class of it.

They are made once, and a mark on the namespace kube-system says so: whoever then changes or deletes them has
it his way.
"""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import key_of
from podium.api.types.resources import CSI_DRIVERS, NAMESPACES, STORAGE_CLASSES, Resource
from podium.api.types.storage import (
    DEFAULT_CLASS,
    DEFAULT_CLASS_ANNOTATIONS,
    PROVISIONER,
    annotation,
    is_default_class,
)
from podium.control.controller import Context, Controller, own_key

SYSTEM = "kube-system"
MARK = "podium.io/first-storage"
DRIVER: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "CSIDriver",
    "metadata": {"name": PROVISIONER},
    "spec": {
        "attachRequired": False,
        "podInfoOnMount": False,
        "fsGroupPolicy": "File",
        "storageCapacity": False,
        "volumeLifecycleModes": ["Persistent"],
    },
}


def default_class(default: bool) -> Obj:
    """The class; not the default one where somebody has set a default already."""
    marked = {"annotations": {DEFAULT_CLASS_ANNOTATIONS[0]: "true"}} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": DEFAULT_CLASS, **marked},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    }


class FirstStorage(Controller):
    """The one key is the namespace kube-system."""

    name = "first-storage"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.namespaces = self.watch(NAMESPACES, own_key, fields=f"metadata.name={SYSTEM}")

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(SYSTEM)
        if namespace is None or key != key_of(namespace) or annotation(namespace, MARK) is not None:
            return
        classes = (await self.client.list(STORAGE_CLASSES)).items
        await self._make(STORAGE_CLASSES, default_class(not any(map(is_default_class, classes))))
        await self._make(CSI_DRIVERS, DRIVER)
        patch = {"metadata": {"annotations": {MARK: "made"}}}
        await self.client.patch(NAMESPACES, SYSTEM, patch)

    async def _make(self, resource: Resource, obj: Obj) -> None:
        try:
            await self.client.create(resource, obj)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
