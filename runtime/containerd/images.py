"""Image records: names for manifests."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import AlreadyExists, NotFound
from podium.runtime.protos import images_pb2 as pb
from podium.runtime.protos.types_pb2 import Descriptor


class Images:
    """containerd's Images service."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["Images"]
        self._get = channel.unary(service, "Get", pb.GetImageResponse)
        self._list = channel.unary(service, "List", pb.ListImagesResponse)
        self._create = channel.unary(service, "Create", pb.CreateImageResponse)
        self._update = channel.unary(service, "Update", pb.UpdateImageResponse)
        self._delete = channel.unary(service, "Delete", Empty)

    async def get(self, name: str) -> pb.Image | None:
        try:
            return (await self._get(pb.GetImageRequest(name=name))).image
        except NotFound:
            return None

    async def list(self, *filters: str) -> list[pb.Image]:
        return list((await self._list(pb.ListImagesRequest(filters=filters))).images)

    async def put(
        self, name: str, target: Descriptor, *, lease: str = "", labels: Mapping[str, str] | None = None
    ) -> None:
        """Makes `name` stand for `target`, whatever it stood for before."""
        image = pb.Image(name=name, target=target, labels=labels or {})
        try:
            await self._create(pb.CreateImageRequest(image=image), lease=lease)
        except AlreadyExists:
            await self._update(pb.UpdateImageRequest(image=image), lease=lease)

    async def delete(self, name: str, *, sync: bool = False) -> None:
        """Idempotent. Content and snapshots that nothing else names are collected later, with `sync` before
        it returns."""
        try:
            await self._delete(pb.DeleteImageRequest(name=name, sync=sync))
        except NotFound:
            return
