"""Claims, volumes, classes and pods for tests, and a node that provisions like the real one, without a
disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import deleting, key_of
from podium.api.types.resources import (
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from podium.api.types.storage import (
    HOSTNAME,
    NODE_ATTRIBUTE,
    PROVISIONED_BY,
    PROVISIONER,
    PROVISIONER_FINALIZER,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    annotation,
    class_of,
    is_doomed,
    requested,
    volume_name,
)
from podium.client.base import Client
from podium.client.factory import InformerFactory
from podium.control.controller import Context, Controller

from ..cluster import TestCluster
from ..objects import pod as any_pod

NODES = ("node-a", "node-b")


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> Obj:
    annotations = spec.pop("annotations", {})
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "test", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }


def volume(name: str = "pv", size: str = "1Gi", **spec: Any) -> Obj:
    meta = spec.pop("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, **meta},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "hostPath": {"path": "/data"},
            **spec,
        },
    }


def storage_class(name: str = "fast", mode: str = "Immediate", **fields: Any) -> Obj:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, **fields.pop("metadata", {})},
        "provisioner": PROVISIONER,
        "volumeBindingMode": mode,
        **fields,
    }


def user(name: str = "web", claim_name: str = "data", **spec: Any) -> Obj:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    return any_pod(name, volumes=volumes, **spec)


class FakeNode(Controller):
    """Does on the API what the provisioners of NODES do, of which those in `room` have some; keys are claims
    and volumes."""

    name = "fake-node"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.room = set(NODES)
        self.hold = False  # keeps what is deleted from going
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, lambda old, new: (key_of(new),) if new else ())
        self.volumes = self.watch(PERSISTENT_VOLUMES, lambda old, new: (key_of(new),) if new else ())

    async def reconcile(self, key: str) -> None:
        namespace, _, name = key.rpartition("/")
        if namespace and (found := self.claims.get(name, namespace)):
            await self.provision(found)
        if not namespace and (found := self.volumes.get(name)) and is_doomed(found) and not self.hold:
            await self._remove(found)

    async def provision(self, found: Obj) -> None:
        node = annotation(found, SELECTED_NODE)
        asked = annotation(found, STORAGE_PROVISIONER) == PROVISIONER
        if found["spec"].get("volumeName") or deleting(found) or node not in NODES or not asked:
            return
        if node not in self.room:
            meta = {"annotations": {SELECTED_NODE: None}, "uid": found["metadata"]["uid"]}
            await self.client.patch(
                PERSISTENT_VOLUME_CLAIMS, found["metadata"]["name"], {"metadata": meta}, "test"
            )
            return
        if self.volumes.get(volume_name(found)) is None:
            storage = await self.client.get(STORAGE_CLASSES, class_of(found))
            with contextlib.suppress(StatusError):
                await self.client.create(PERSISTENT_VOLUMES, provisioned(found, storage, node))

    async def _remove(self, found: Obj) -> None:
        name, uid = found["metadata"]["name"], found["metadata"]["uid"]
        if not deleting(found):
            await self.client.delete(PERSISTENT_VOLUMES, name, uid=uid)
        found = await self.client.get(PERSISTENT_VOLUMES, name)
        finalizers = [entry for entry in found["metadata"]["finalizers"] if entry != PROVISIONER_FINALIZER]
        meta = {**found["metadata"], "finalizers": finalizers}
        with contextlib.suppress(StatusError):
            await self.client.update(PERSISTENT_VOLUMES, {**found, "metadata": meta})


def provisioned(found: Obj, storage: Obj, node: str) -> Obj:
    name, meta = volume_name(found), found["metadata"]
    expression = {"key": HOSTNAME, "operator": "In", "values": [node]}
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    reference |= {key: meta[key] for key in ("namespace", "name", "uid", "resourceVersion")}
    policy = storage["reclaimPolicy"]
    return volume(
        name,
        requested(found),
        metadata={
            "annotations": {PROVISIONED_BY: PROVISIONER},
            "finalizers": [PROVISIONER_FINALIZER] if policy == "Delete" else [],
        },
        hostPath=None,
        accessModes=found["spec"]["accessModes"],
        claimRef=reference,
        persistentVolumeReclaimPolicy=policy,
        storageClassName=storage["metadata"]["name"],
        volumeMode=found["spec"]["volumeMode"],
        csi={"driver": PROVISIONER, "volumeHandle": name, "volumeAttributes": {NODE_ATTRIBUTE: node}},
        nodeAffinity={"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    )


@contextlib.asynccontextmanager
async def fake_node(client: Client) -> AsyncIterator[FakeNode]:
    context = Context(client, InformerFactory(client))
    node = FakeNode(context)
    context.informers.start()
    task = asyncio.ensure_future(node.run())
    try:
        yield node
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await context.informers.stop()


async def bound(cluster: TestCluster, name: str = "data") -> Obj:
    return await cluster.one(PERSISTENT_VOLUME_CLAIMS, name, lambda obj: obj["status"]["phase"] == "Bound")


async def in_phase(cluster: TestCluster, name: str, phase: str) -> Obj:
    return await cluster.one(PERSISTENT_VOLUMES, name, lambda obj: obj["status"]["phase"] == phase, "")


async def told(cluster: TestCluster, reason: str, namespace: str = "test") -> Obj:
    """The first event of this reason."""
    found = await cluster.until(
        EVENTS, lambda events: any(event["reason"] == reason for event in events), namespace
    )
    return next(event for event in found if event["reason"] == reason)
