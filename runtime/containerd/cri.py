"""The CRI image service on the same socket: pulling, because registries' authentication, mirrors and
unpacking are solved there."""

from __future__ import annotations

from collections.abc import Mapping

from podium.runtime.containerd.channel import Channel
from podium.runtime.protos import cri_images_pb2 as pb


class CriImages:
    """CRI's ImageService."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["ImageService"]
        self._pull = channel.unary(service, "PullImage", pb.PullImageResponse)
        self._status = channel.unary(service, "ImageStatus", pb.ImageStatusResponse)
        self._list = channel.unary(service, "ListImages", pb.ListImagesResponse)
        self._remove = channel.unary(service, "RemoveImage", pb.RemoveImageResponse)

    async def pull(self, image: str, auth: Mapping[str, str] | None = None) -> str:
        """Pulls and unpacks; returns the image's id (its configuration's digest). `auth` has AuthConfig's
        fields."""
        request = pb.PullImageRequest(image=pb.ImageSpec(image=image))
        if auth:
            request.auth.CopyFrom(pb.AuthConfig(**auth))
        return (await self._pull(request, within=None)).image_ref

    async def status(self, image: str) -> pb.Image | None:
        """The image that a name, an id or a digest stands for."""
        reply = await self._status(pb.ImageStatusRequest(image=pb.ImageSpec(image=image)))
        return reply.image if reply.HasField("image") else None

    async def list(self) -> list[pb.Image]:
        return list((await self._list(pb.ListImagesRequest())).images)

    async def remove(self, image: str) -> None:
        """Forgets an image with all its names; returns when its content is gone. Idempotent."""
        await self._remove(pb.RemoveImageRequest(image=pb.ImageSpec(image=image)))
