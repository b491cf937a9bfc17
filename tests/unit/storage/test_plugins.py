"""The contract of volume plugins, which every one of them keeps: mounting is idempotent, what is on the
disk is the truth after a restart, and a pod's end takes its volume away and nobody else's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import (
    CONFIG_MAPS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
)
from podium.storage.base import MountedVolume
from podium.storage.errors import VolumeError
from podium.storage.kernel import mounts_below, unmount
from podium.storage.manager import VolumeManager
from podium.storage.provisioner import filesystems
from podium.storage.provisioner.images import MIB
from podium.storage.provisioner.volumes import LocalVolumes

from ..frozen import freeze
from .claims import NODE, claim, claimed, device_of, note, nothing_left, volume
from .pods import config_map, pod, secret
from .server import MemoryClient

OTHER = "99999999-2222-3333-4444-555555555555"
PAYLOADS = ("configMap", "secret", "downwardAPI", "projected")
KINDS = (
    "emptyDir", "memory", "hostPath", *PAYLOADS,
    "claim", "read-only claim", "block claim", "ephemeral",
    "local directory", "local device", "hostPath claim",
)  # fmt: skip
# What a pod writes there outlives the pod.
LASTING = ("hostPath", "claim", "local directory", "local device", "hostPath claim")


ELSEWHERE = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}


class Place:
    """A node's disk, and what the server knows."""

    def __init__(self, folder: Path, client: MemoryClient) -> None:
        self.folder = folder
        self.client = client
        self.pods_dir = folder / "pods"
        self.local = LocalVolumes(folder / "claims", self.pods_dir)
        self.device = ""
        client.put(NODES, {"metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}})

    def manager(self) -> VolumeManager:
        return VolumeManager(self.client, node_name=NODE, pods_dir=self.pods_dir)

    def bind(self, made: dict[str, Any], *, name: str = "c", owner: str = "") -> None:
        """A claim bound to a volume."""
        bound = claim(name, made["metadata"]["name"])
        if owner:
            bound["metadata"]["ownerReferences"] = [{"uid": owner, "controller": True}]
        self.client.put(PERSISTENT_VOLUME_CLAIMS, bound)
        self.client.put(PERSISTENT_VOLUMES, made)

    async def volume(self, kind: str) -> dict[str, Any]:
        """A pod's volume of a kind, with everything that it needs in place."""
        match kind:
            case "emptyDir":
                return {"name": "v", "emptyDir": {}}
            case "memory":
                return {"name": "v", "emptyDir": {"medium": "Memory"}}
            case "hostPath":
                return {
                    "name": "v",
                    "hostPath": {"path": str(self.folder / "host"), "type": "DirectoryOrCreate"},
                }
            case "configMap" | "secret" | "downwardAPI" | "projected":
                return self._payload(kind)
        return await self._claimed(kind)

    def _payload(self, kind: str) -> dict[str, Any]:
        self.client.put(CONFIG_MAPS, config_map("m", key="text"))
        self.client.put(SECRETS, secret("s", key="text"))
        field = {"path": "key", "fieldRef": {"fieldPath": "metadata.name"}}
        source: dict[str, Any] = {
            "configMap": {"name": "m"},
            "secret": {"secretName": "s"},
            "downwardAPI": {"items": [field]},
            "projected": {"sources": [{"configMap": {"name": "m"}}]},
        }[kind]
        return {"name": "v", kind: source}

    async def _claimed(self, kind: str) -> dict[str, Any]:
        (self.folder / "directory").mkdir(exist_ok=True)
        match kind:
            case "claim" | "read-only claim":
                await self.local.make(note(fs_type=filesystems.default(32 * MIB)))
                self.bind(volume())
                return claimed(readOnly=kind != "claim")
            case "block claim":
                await self.local.make(note(fs_type=""))
                self.bind(volume(mode="Block"))
            case "ephemeral":
                await self.local.make(note())
                self.bind(volume(), name="p-v", owner=pod()["metadata"]["uid"])
                return {"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}
            case "local directory":
                self.bind(volume(local={"path": str(self.folder / "directory")}))
            case "local device":
                self.bind(volume(local={"path": self.device, "fsType": "ext4"}))
            case "hostPath claim":
                self.bind(volume(hostPath={"path": str(self.folder / "directory")}))
        return claimed()


@pytest.fixture
def place(tmp_path: Path, client: MemoryClient) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = Place(tmp_path, client)
    image = tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 16 * MIB)
    with device_of(image) as made.device:
        yield made
        nothing_left(tmp_path / "pods")
    nothing_left(tmp_path)


@pytest.fixture
async def managers(place: Place) -> AsyncIterator[Callable[[], VolumeManager]]:
    """Makes managers of the same node, one after the other, as restarts do."""
    made: list[VolumeManager] = []

    def another() -> VolumeManager:
        made.append(place.manager())
        return made[-1]

    yield another
    for manager in made:
        await manager.close()


def other(one: Obj) -> Obj:
    """A second pod like the first."""
    return freeze({**one, "metadata": {**one["metadata"], "uid": OTHER}})  # type: ignore[no-any-return]


def write(mounted: Mapping[str, MountedVolume], name: str) -> Path:
    """Makes a file in the volume."""
    file = Path(mounted["v"].path, name)
    file.write_text("x")
    return file


def read(mounted: Mapping[str, MountedVolume], name: str) -> str:
    return Path(mounted["v"].path, name).read_text()


def holds(path: str) -> bool:
    """Whether it is shown what is in the volume, or the volume itself."""
    return os.path.isdir(path) or os.path.exists(path)


@pytest.mark.parametrize("kind", KINDS)
async def test_mounting_twice_and_after_a_restart_is_mounting_once(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    manager = managers()
    first = (await manager.mount(one))["v"]
    assert holds(first.path)
    mounts = mounts_below(place.folder)
    assert (await manager.mount(one))["v"] == first
    assert (await managers().mount(one))["v"] == first
    assert mounts_below(place.folder) == mounts


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_the_pod_leaves_nothing_mounted(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    manager = managers()
    await manager.mount(one)
    uid = str(one["metadata"]["uid"])
    assert await manager.known() == (set() if "hostPath" in kind else {uid})
    await manager.unmount(uid)
    await manager.unmount(uid)
    assert mounts_below(place.folder) == []
    assert await manager.known() == set()
    while await manager.in_use():
        # Whoever looks at a device just then keeps it from going for that moment.
        await asyncio.to_thread(int)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_manager_that_knows_nothing_takes_away_what_another_mounted(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    await managers().mount(one)
    await managers().unmount(str(one["metadata"]["uid"]))
    assert mounts_below(place.folder) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_folders_that_a_reboot_left_without_their_mounts_are_mounted_again(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    before = (await managers().mount(one))["v"]
    mounts = mounts_below(place.folder)
    for point in mounts:
        unmount(point)
    assert (await managers().mount(one))["v"] == before
    assert sorted(mounts_below(place.folder)) == sorted(mounts)


@pytest.mark.parametrize("kind", LASTING)
async def test_what_a_pod_wrote_is_there_for_the_next_one(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    manager = managers()
    write(await manager.mount(one), "kept")
    await manager.unmount(str(one["metadata"]["uid"]))
    assert read(await manager.mount(other(one)), "kept") == "x"


@pytest.mark.parametrize("kind", ["claim", "local directory", "local device"])
async def test_two_pods_share_a_volume_and_the_first_to_go_takes_only_its_own(
    place: Place, managers: Callable[[], VolumeManager], kind: str
) -> None:
    one = pod(await place.volume(kind))
    manager = managers()
    write(await manager.mount(one), "kept")
    second = await manager.mount(other(one))
    await manager.unmount(str(one["metadata"]["uid"]))
    assert read(second, "kept") == "x"
    await manager.unmount(OTHER)
    assert mounts_below(place.folder) == []


async def test_emptied_directories_stay_when_the_machine_only_goes_off(
    place: Place, managers: Callable[[], VolumeManager]
) -> None:
    one = pod(await place.volume("emptyDir"), claimed("w"))
    await place.volume("claim")
    manager = managers()
    write(await manager.mount(one), "kept")
    await manager.unmount(str(one["metadata"]["uid"]), keep=True)
    assert mounts_below(place.folder) == []
    assert read(await manager.mount(one), "kept") == "x"


@pytest.mark.parametrize("policy", ["Always", "OnRootMismatch"])
async def test_the_fs_group_owns_a_claims_files(
    place: Place, managers: Callable[[], VolumeManager], policy: str
) -> None:
    context = {"fsGroup": 777, "fsGroupChangePolicy": policy}
    one = pod(await place.volume("claim"), securityContext=context)
    manager = managers()
    file = write(await manager.mount(one), "file")
    os.chown(file, 0, 0)
    await manager.mount(one)
    assert file.stat().st_gid == 0
    await manager.mount(other(one))
    assert file.stat().st_gid == (777 if policy == "Always" else 0)
    assert file.parent.stat().st_gid == 777


async def test_a_read_only_claim_cannot_be_written(
    place: Place, managers: Callable[[], VolumeManager]
) -> None:
    mounted = await managers().mount(pod(await place.volume("read-only claim")))
    assert mounted["v"].read_only
    with pytest.raises(OSError, match="Read-only file system"):
        write(mounted, "file")


async def test_a_claim_for_one_pod_is_refused_to_a_second(
    place: Place, managers: Callable[[], VolumeManager]
) -> None:
    one = pod(await place.volume("claim"))
    place.bind(volume(accessModes=["ReadWriteOncePod"]))
    manager = managers()
    await manager.mount(one)
    with pytest.raises(VolumeError) as refused:
        await manager.mount(other(one))
    assert refused.value.message == (
        'MountVolume.SetUp failed for volume "pvc-1" : '
        "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
    )
    retried: list[str] = []
    manager.on_change(retried.append, lambda: None)
    await manager.unmount(str(one["metadata"]["uid"]))
    assert retried == [OTHER]
    await manager.mount(other(one))


async def test_a_lost_image_stops_the_pod_and_is_never_replaced(
    place: Place, managers: Callable[[], VolumeManager]
) -> None:
    one = pod(await place.volume("claim"))
    image = place.folder / "claims" / "pvc-1" / "image"
    image.unlink()
    with pytest.raises(VolumeError, match="the image of volume pvc-1 is not on this node"):
        await managers().mount(one)
    assert not image.exists()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            {"iscsi": {"targetPortal": "x"}},
            'MountVolume.SetUp failed for volume "pvc-1" : volume type "iscsi" is not supported',
        ),
        (
            {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "x"}},
            'MountVolume.SetUp failed for volume "pvc-1" : '
            "driver name ebs.csi.aws.com not found in the list of registered CSI drivers",
        ),
        (
            {
                "csi": {
                    "driver": "local.podium.io",
                    "volumeHandle": "../pods",
                    "volumeAttributes": {"local.podium.io/node": NODE},
                }
            },
            """MountVolume.SetUp failed for volume "pvc-1" : not a volume's name: '../pods'""",
        ),
        (
            {"local": {"path": "/nowhere"}},
            'MountVolume.NewMounter initialization failed for volume "pvc-1" : '
            'path "/nowhere" does not exist',
        ),
        (
            {"hostPath": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [ELSEWHERE]}}},
            'MountVolume.NodeAffinity check failed for volume "pvc-1" : no matching NodeSelectorTerms',
        ),
    ],
)
async def test_what_cannot_be_mounted_here_is_said(
    place: Place, managers: Callable[[], VolumeManager], made: dict[str, Any], message: str
) -> None:
    place.bind(volume(**made))
    with pytest.raises(VolumeError) as refused:
        await managers().mount(pod(claimed()))
    assert (refused.value.reason, refused.value.message) == ("FailedMount", message)
