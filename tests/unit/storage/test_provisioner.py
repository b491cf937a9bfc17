"""The provisioner on real disks, with the real API server and the real controllers that bind what it
makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types import storage as words
from podium.api.types.resources import (
    CSI_NODES,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from podium.storage.errors import Unbound
from podium.storage.manager import VolumeManager
from podium.storage.provisioner import decide
from podium.storage.provisioner.images import MIB, Images

from ..control.cluster import TestCluster, running_cluster
from .claims import claimed, note, nothing_left
from .pods import until

NODE = "node-a"


@pytest.fixture
async def cluster() -> AsyncIterator[TestCluster]:
    async with running_cluster() as made:
        yield made


class Nodes:
    """The nodes' volume managers; one that is made again for a node is that node after a restart."""

    def __init__(self, cluster: TestCluster, root: Path) -> None:
        self.cluster, self.root = cluster, root
        self.managers: list[VolumeManager] = []

    def images(self, node: str = NODE) -> Images:
        return Images(self.root / node / "claims")

    async def start(self, node: str = NODE) -> VolumeManager:
        folder = self.root / node
        manager = VolumeManager(
            self.cluster.client, node_name=node, pods_dir=folder / "pods", claims_dir=folder / "claims"
        )
        self.managers.append(manager)
        await manager.start()
        return manager

    async def close(self) -> None:
        for manager in self.managers:
            await manager.close()
        nothing_left(self.root)


@pytest.fixture
async def nodes(cluster: TestCluster, tmp_path: Path) -> AsyncIterator[Nodes]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = Nodes(cluster, tmp_path)
    yield made
    await made.close()


async def ask(cluster: TestCluster, name: str = "data", size: str = "32Mi", **spec: Any) -> Obj:
    """A claim that this node was chosen for."""
    made = {
        "metadata": {"name": name, "namespace": "test", "annotations": {words.SELECTED_NODE: NODE}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": {"requests": {"storage": size}},
            **spec,
        },
    }
    return await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, made)


async def bound(cluster: TestCluster, name: str = "data") -> Obj:
    return await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, name, lambda claim: (claim.get("status") or {}).get("phase") == "Bound"
    )


async def event(cluster: TestCluster, reason: str) -> Obj:
    found = await cluster.until(EVENTS, lambda events: any(each["reason"] == reason for each in events))
    return next(each for each in found if each["reason"] == reason)


def using(claim: str = "data", uid: str = "11111111-2222-3333-4444-555555555555") -> Obj:
    return {
        "metadata": {"name": "p", "namespace": "test", "uid": uid},
        "spec": {"volumes": [claimed(claim_name=claim)], "containers": [{"name": "c"}]},
    }


async def test_a_claim_gets_a_volume_of_its_own(cluster: TestCluster, nodes: Nodes) -> None:
    manager = await nodes.start()
    claim = await ask(cluster)
    name = (await bound(cluster))["spec"]["volumeName"]
    assert name == f"pvc-{claim['metadata']['uid']}"
    volume = await cluster.client.get(PERSISTENT_VOLUMES, name)
    assert words.local_node(volume) == NODE
    assert words.PROVISIONER_FINALIZER in volume["metadata"]["finalizers"]
    assert nodes.images().image(name).stat().st_size == 32 * MIB
    text = (await event(cluster, "ProvisioningSucceeded"))["message"]
    assert text == f"Successfully provisioned volume {name}"
    assert (await manager.mount(using()))["v"].kind == "dir"
    assert await manager.in_use() == [f"kubernetes.io/csi/local.podium.io^{name}"]
    node = await cluster.client.get(CSI_NODES, NODE)
    assert node["spec"]["drivers"] == [
        {"name": "local.podium.io", "nodeID": NODE, "topologyKeys": ["kubernetes.io/hostname"]}
    ]


async def test_what_a_node_has_no_room_for_it_gives_back(cluster: TestCluster, nodes: Nodes) -> None:
    await nodes.start()
    await ask(cluster, size="1000Ti")
    await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda claim: words.annotation(claim, words.SELECTED_NODE) is None
    )
    text = (await event(cluster, "ProvisioningFailed"))["message"]
    assert text.startswith('failed to provision volume with StorageClass "standard": ResourceExhausted: ')
    assert text.endswith("Mi free of 1048576000Mi")
    assert nodes.images().names() == []


async def test_a_restart_in_the_middle_makes_no_second_volume(cluster: TestCluster, nodes: Nodes) -> None:
    """The image was made, and the daemon ended before it could tell."""
    claim = await ask(cluster)
    storage_class = await cluster.one(STORAGE_CLASSES, "standard", lambda _: True, "")
    made = decide.note_for(claim, storage_class, decide.wanted(claim, storage_class))
    nodes.images().make(made)
    inode = nodes.images().image(made.name).stat().st_ino
    await nodes.start()
    await bound(cluster)
    assert nodes.images().names() == [made.name]
    assert nodes.images().image(made.name).stat().st_ino == inode


async def test_a_deleted_claims_data_goes_once_no_pod_uses_it(cluster: TestCluster, nodes: Nodes) -> None:
    manager = await nodes.start()
    await ask(cluster)
    name = (await bound(cluster))["spec"]["volumeName"]
    pod = using()
    await manager.mount(pod)
    await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "test")
    await cluster.one(PERSISTENT_VOLUMES, name, lambda volume: volume["status"]["phase"] == "Released", "")
    assert nodes.images().names() == [name]
    await manager.unmount(pod["metadata"]["uid"])
    await cluster.gone(PERSISTENT_VOLUMES, name, "")
    assert nodes.images().names() == []


async def test_retained_data_stays_whatever_happens_to_the_objects(
    cluster: TestCluster, nodes: Nodes
) -> None:
    manager = await nodes.start()
    await ask(cluster)
    name = (await bound(cluster))["spec"]["volumeName"]
    patch = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    await cluster.client.patch(PERSISTENT_VOLUMES, name, patch)
    await cluster.one(
        PERSISTENT_VOLUMES,
        name,
        lambda volume: words.PROVISIONER_FINALIZER not in (volume["metadata"].get("finalizers") or ()),
        "",
    )
    await until(lambda: (found := nodes.images().note(name)) is not None and found.policy == "Retain")
    await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "test")
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "data")
    await cluster.client.delete(PERSISTENT_VOLUMES, name)
    await cluster.gone(PERSISTENT_VOLUMES, name, "")
    await manager.close()
    await nodes.start()
    await ask(cluster, "next")
    await bound(cluster, "next")
    assert name in nodes.images().names()


async def grow(cluster: TestCluster, size: str) -> None:
    patch = {"spec": {"resources": {"requests": {"storage": size}}}}
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", patch, "test")


async def test_a_claim_grows_under_its_pod(cluster: TestCluster, nodes: Nodes) -> None:
    manager = await nodes.start()
    await ask(cluster)
    name = (await bound(cluster))["spec"]["volumeName"]
    path = (await manager.mount(using()))["v"].path
    before = os.statvfs(path).f_blocks
    await grow(cluster, "64Mi")
    claim = await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda claim: claim["status"]["capacity"]["storage"] == "64Mi"
    )
    assert not claim["status"].get("conditions")
    assert not claim["status"].get("allocatedResourceStatuses")
    assert (await cluster.client.get(PERSISTENT_VOLUMES, name))["spec"]["capacity"]["storage"] == "64Mi"
    assert os.statvfs(path).f_blocks > before * 1.8
    assert nodes.images().image(name).stat().st_size == 64 * MIB


async def test_a_claim_that_cannot_grow_says_so_and_recovers_with_less(
    cluster: TestCluster, nodes: Nodes
) -> None:
    await nodes.start()
    await ask(cluster)
    await bound(cluster)
    await grow(cluster, "1000Ti")
    await cluster.one(
        PERSISTENT_VOLUME_CLAIMS,
        "data",
        lambda claim: (
            (claim["status"].get("allocatedResourceStatuses") or {}).get("storage")
            == "ControllerResizeInfeasible"
        ),
    )
    assert "Mi free of " in (await event(cluster, "VolumeResizeFailed"))["message"]
    await grow(cluster, "48Mi")
    claim = await cluster.one(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda claim: claim["status"]["capacity"]["storage"] == "48Mi"
    )
    assert not claim["status"].get("conditions")


async def test_an_image_that_nobody_knows_goes_at_the_next_start(cluster: TestCluster, nodes: Nodes) -> None:
    nodes.images().make(note("pvc-lost"))
    await nodes.start()
    await until(lambda: nodes.images().names() == [])


async def test_a_pod_that_came_before_its_claim_is_told_when_it_is_bound(
    cluster: TestCluster, nodes: Nodes
) -> None:
    manager = await nodes.start()
    told = asyncio.Event()
    manager.on_change(lambda uid: told.set(), lambda: None)
    with pytest.raises(Unbound, match=r"^Unable to attach or mount volumes: unmounted volumes=\[v\], "):
        await manager.mount(using())
    await ask(cluster)
    await asyncio.wait_for(told.wait(), 20)
    await bound(cluster)
    assert (await manager.mount(using()))["v"].path
