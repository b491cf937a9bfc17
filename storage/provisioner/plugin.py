"""Volumes of the built-in provisioner, for pods: the csi sources whose driver is ours."""

from __future__ import annotations

from functools import partial

from podium.api.types import storage as words
from podium.storage.base import MountedVolume, Plugin, Request
from podium.storage.errors import failed
from podium.storage.ownership import give_to_pod, nothing
from podium.storage.provisioner.volumes import FOLDER, LocalVolumes

_ALONE = ["ReadWriteOncePod"]


class LocalClaimPlugin(Plugin):
    def __init__(self, volumes: LocalVolumes, node_name: str) -> None:
        self._volumes = volumes
        self._node_name = node_name

    def folder(self, type: str) -> str:
        return FOLDER

    async def mount(self, request: Request) -> MountedVolume:
        driver = request.source.get("driver", "")
        if driver != words.PROVISIONER:
            raise failed(f"driver name {driver} not found in the list of registered CSI drivers")
        volume = request.volume
        if volume is None:
            raise failed(f"volume mode Ephemeral not supported by driver {driver}")
        holder = words.local_node(volume)
        if holder != self._node_name:
            raise failed(f"the volume is on node {holder!r}, not on {self._node_name!r}")
        spec, name = volume["spec"], str(request.source["volumeHandle"])
        alone = list(spec.get("accessModes") or ()) == _ALONE
        read_only = request.read_only or bool(request.source.get("readOnly"))
        if spec.get("volumeMode") == "Block":
            device = await self._volumes.device(name, request.uid, alone=alone)
            return MountedVolume(device, read_only, "block")
        options = list(spec.get("mountOptions") or ())
        prepare = nothing if read_only else partial(give_to_pod, request.pod)
        path = await self._volumes.publish(
            name, request.uid, options, prepare, read_only=read_only, alone=alone
        )
        return MountedVolume(str(path), read_only)

    async def release(self, uid: str) -> None:
        """Nothing is kept: what is mounted is the kernel's to say."""
