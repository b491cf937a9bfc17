"""Claims and volumes of the built-in provisioner, and a place for their images that leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from podium.storage.kernel import mounts_below, unmount
from podium.storage.provisioner import loop
from podium.storage.provisioner.images import MIB, Note

NODE = "n1"


def note(name: str = "pvc-1", size: int = 32 * MIB, fs_type: str = "xfs", **more: Any) -> Note:
    return Note(name=name, size=size, fs_type=fs_type, namespace="ns", claim="c", uid="claim-1", **more)


def claim(name: str = "c", volume: str = "pvc-1", uid: str = "claim-1", **more: Any) -> dict[str, Any]:
    """A bound claim."""
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": uid},
        "spec": {"volumeName": volume, "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound"},
        **more,
    }


def volume(
    name: str = "pvc-1", uid: str = "claim-1", mode: str = "Filesystem", **spec: Any
) -> dict[str, Any]:
    """Its volume; on this node unless `spec` has another source."""
    source: dict[str, Any] = {
        "csi": {
            "driver": "local.podium.io",
            "volumeHandle": name,
            "volumeAttributes": {"local.podium.io/node": NODE},
        }
    }
    reference = {"namespace": "ns", "name": "c", "uid": uid}
    if spec.keys() & {"hostPath", "local", "nfs", "iscsi", "csi"}:
        source = {}
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "32Mi"},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": mode,
            "claimRef": reference,
            **source,
            **spec,
        },
    }


def claimed(name: str = "v", claim_name: str = "c", **more: Any) -> dict[str, Any]:
    """A pod's volume."""
    return {"name": name, "persistentVolumeClaim": {"claimName": claim_name, **more}}


def nothing_left(folder: Path) -> None:
    """Unmounts and detaches what a test left in a folder."""
    for point in mounts_below(folder):
        unmount(point)
    for device, path in loop.backing_files().items():
        if path.startswith(f"{folder}/"):
            loop.detach(device)


@contextmanager
def device_of(image: Path) -> Iterator[str]:
    """A block device that is no business of the provisioner's."""
    with loop.attach(image, autoclear=False) as device:
        try:
            yield device.path
        finally:
            device.detach()
