"""Snapshots: containers' root file systems and the unpacked layers under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import AlreadyExists, NotFound
from podium.runtime.protos import diff_pb2
from podium.runtime.protos import snapshots_pb2 as pb
from podium.runtime.protos.types_pb2 import Descriptor, Mount

OVERLAYFS = "overlayfs"
_MAPPED = ("containerd.io/snapshot/uidmapping", "containerd.io/snapshot/gidmapping")
"""Labels by which a snapshotter shows a snapshot's files under other ids, as `INSIDE:OUTSIDE:LENGTH`."""


def mapped(ids: str) -> dict[str, str]:
    return dict.fromkeys(_MAPPED, ids)


class Snapshots:
    """containerd's Snapshots and Diff services, for one snapshotter."""

    def __init__(self, channel: Channel, snapshotter: str = OVERLAYFS) -> None:
        self.snapshotter = snapshotter
        service = pb.DESCRIPTOR.services_by_name["Snapshots"]
        self._channel, self._service = channel, service
        self._prepare = channel.unary(service, "Prepare", pb.PrepareSnapshotResponse)
        self._mounts = channel.unary(service, "Mounts", pb.MountsResponse)
        self._commit = channel.unary(service, "Commit", Empty)
        self._remove = channel.unary(service, "Remove", Empty)
        self._stat = channel.unary(service, "Stat", pb.StatSnapshotResponse)
        self._usage = channel.unary(service, "Usage", pb.UsageResponse)
        differ = diff_pb2.DESCRIPTOR.services_by_name["Diff"]
        self._apply = channel.unary(differ, "Apply", diff_pb2.ApplyResponse)

    async def prepare(
        self, key: str, parent: str, *, lease: str, labels: Mapping[str, str] | None = None
    ) -> list[Mount]:
        """A writable snapshot on `parent` ("" for an empty one), or the mounts of the one that is already
        there. Nothing references it yet: only the lease keeps it."""
        request = pb.PrepareSnapshotRequest(
            snapshotter=self.snapshotter, key=key, parent=parent, labels=labels or {}
        )
        try:
            return list((await self._prepare(request, lease=lease)).mounts)
        except AlreadyExists:
            return await self.mounts(key)

    async def mounts(self, key: str) -> list[Mount]:
        reply = await self._mounts(pb.MountsRequest(snapshotter=self.snapshotter, key=key))
        return list(reply.mounts)

    async def commit(self, name: str, key: str, *, lease: str) -> None:
        """Makes the writable `key` the read-only `name`. Idempotent."""
        request = pb.CommitSnapshotRequest(snapshotter=self.snapshotter, name=name, key=key)
        try:
            await self._commit(request, lease=lease)
        except AlreadyExists:
            await self.remove(key)

    async def remove(self, key: str) -> None:
        """Idempotent."""
        try:
            await self._remove(pb.RemoveSnapshotRequest(snapshotter=self.snapshotter, key=key))
        except NotFound:
            return

    async def exists(self, key: str) -> bool:
        try:
            await self._stat(pb.StatSnapshotRequest(snapshotter=self.snapshotter, key=key))
        except NotFound:
            return False
        return True

    async def unpacking(self) -> bool:
        """Whether containerd is unpacking a layer that it has pulled."""
        wanted = pb.ListSnapshotsRequest(
            snapshotter=self.snapshotter, filters=["kind==active,name~=^extract-"]
        )
        replies = self._channel.stream(self._service, "List", pb.ListSnapshotsResponse, wanted)
        return any([len(reply.info) > 0 async for reply in replies])

    async def usage(self, key: str) -> tuple[int, int]:
        """(bytes, inodes) that the snapshot itself takes, without its parents."""
        reply = await self._usage(pb.UsageRequest(snapshotter=self.snapshotter, key=key))
        return reply.size, reply.inodes

    async def apply(self, layer: Descriptor, mounts: Sequence[Mount]) -> str:
        """Unpacks a layer onto mounts; returns the digest of the uncompressed layer."""
        request = diff_pb2.ApplyRequest(diff=layer, mounts=mounts)
        return (await self._apply(request, within=None)).applied.digest
