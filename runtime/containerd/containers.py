"""Container records: what a container is, running or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from podium.api.types import Obj
from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import NotFound
from podium.runtime.handlers import Runtime
from podium.runtime.protos import containers_pb2 as pb

SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
RESOURCES_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"


def packed(type_url: str, value: Obj) -> PackedAny:
    """A JSON document in an Any, as containerd stores specs and extensions."""
    return PackedAny(type_url=type_url, value=orjson.dumps(value))


class Containers:
    """containerd's Containers service. Records are protobuf messages; treat them as read-only."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["Containers"]
        self._get = channel.unary(service, "Get", pb.GetContainerResponse)
        self._list = channel.unary(service, "List", pb.ListContainersResponse)
        self._create = channel.unary(service, "Create", pb.CreateContainerResponse)
        self._update = channel.unary(service, "Update", pb.UpdateContainerResponse)
        self._delete = channel.unary(service, "Delete", Empty)

    async def get(self, container_id: str) -> pb.Container:
        return (await self._get(pb.GetContainerRequest(id=container_id))).container

    async def list(self, *filters: str) -> list[pb.Container]:
        """Records that match any of the filters (containerd's filter syntax), all without one."""
        return list((await self._list(pb.ListContainersRequest(filters=filters))).containers)

    async def create(
        self,
        container_id: str,
        *,
        image: str,
        spec: Obj,
        snapshotter: str,
        snapshot: str,
        labels: Mapping[str, str],
        lease: str = "",
        runtime: Runtime | None = None,
        systemd: bool = False,
    ) -> pb.Container:
        """With `systemd` the spec's `cgroupsPath` names a slice and a scope that systemd is to make."""
        runtime = runtime or Runtime()
        record = pb.Container(
            id=container_id,
            image=image,
            labels=labels,
            spec=packed(SPEC_TYPE, spec),
            snapshotter=snapshotter,
            snapshot_key=snapshot,
            runtime=pb.Container.Runtime(name=runtime.type, options=runtime.packed(systemd=systemd)),
        )
        return (await self._create(pb.CreateContainerRequest(container=record), lease=lease)).container

    async def set_extension(self, container_id: str, name: str, value: Obj) -> None:
        """Keeps a document of ours with the record; other extensions stay as they are."""
        record = pb.Container(id=container_id, extensions={name: packed(name, value)})
        mask = FieldMask(paths=[f"extensions.{name}"])
        await self._update(pb.UpdateContainerRequest(container=record, update_mask=mask))

    async def delete(self, container_id: str) -> None:
        """Idempotent."""
        try:
            await self._delete(pb.DeleteContainerRequest(id=container_id))
        except NotFound:
            return


def extension(record: pb.Container, name: str) -> Obj:
    """The document kept under `name`, {} when there is none."""
    if name not in record.extensions:
        return {}
    value: Obj = orjson.loads(record.extensions[name].value)
    return value


def created_at(record: pb.Container) -> datetime:
    return record.created_at.ToDatetime(tzinfo=UTC)
