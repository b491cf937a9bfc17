"""The content store: blobs by digest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

from google.protobuf.field_mask_pb2 import FieldMask

from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import AlreadyExists, NotFound
from podium.runtime.protos import content_pb2 as pb


class Content:
    """containerd's Content service. Labels of a blob tell the collector what it refers to."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._service = pb.DESCRIPTOR.services_by_name["Content"]
        self._info = channel.unary(self._service, "Info", pb.InfoResponse)
        self._update = channel.unary(self._service, "Update", pb.UpdateResponse)
        self._statuses = channel.unary(self._service, "ListStatuses", pb.ListStatusesResponse)

    async def info(self, digest: str) -> pb.Info | None:
        try:
            return (await self._info(pb.InfoRequest(digest=digest))).info
        except NotFound:
            return None

    async def read(self, digest: str) -> bytes:
        """A whole blob: for manifests and configurations, not for layers. Raises NotFound."""
        return b"".join([piece async for piece in self.pieces(digest)])

    async def pieces(self, digest: str) -> AsyncIterator[bytes]:
        """A blob of any size. Raises NotFound."""
        request = pb.ReadContentRequest(digest=digest)
        async for reply in self._channel.stream(self._service, "Read", pb.ReadContentResponse, request):
            yield reply.data

    async def write(
        self,
        digest: str,
        size: int,
        chunks: Iterator[bytes],
        *,
        lease: str,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Stores a blob under its digest, which containerd verifies. Idempotent; labels are set on a blob
        that was there before, too."""
        labels = labels or {}
        if await self.info(digest) is not None:
            if labels:
                await self.label(digest, labels)
            return
        try:
            await self._channel.exchange(
                self._service,
                "Write",
                pb.WriteContentResponse,
                _requests(f"podium-{digest}", digest, size, chunks, labels),
                lease,
            )
        except AlreadyExists:
            if labels:
                await self.label(digest, labels)

    async def arriving(self) -> dict[str, int]:
        """How many bytes there are of each blob that is being written, by the writers' names for them."""
        reply = await self._statuses(pb.ListStatusesRequest())
        return {each.ref: each.offset for each in reply.statuses}

    async def label(self, digest: str, labels: Mapping[str, str]) -> None:
        """Adds labels to a blob."""
        mask = FieldMask(paths=[f"labels.{name}" for name in labels])
        await self._update(pb.UpdateRequest(info=pb.Info(digest=digest, labels=labels), update_mask=mask))


async def _requests(
    ref: str, digest: str, size: int, chunks: Iterator[bytes], labels: Mapping[str, str]
) -> AsyncIterator[pb.WriteContentRequest]:
    offset = 0
    for chunk in chunks:
        yield pb.WriteContentRequest(
            action=pb.WRITE, ref=ref, total=size, expected=digest, offset=offset, data=chunk
        )
        offset += len(chunk)
    yield pb.WriteContentRequest(
        action=pb.COMMIT, ref=ref, total=size, expected=digest, offset=offset, labels=labels
    )
