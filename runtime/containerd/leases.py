"""Leases: containerd's collector takes what nothing references, also what is just being made. A lease holds
it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import NotFound
from podium.runtime.protos import leases_pb2 as pb


class Leases:
    """containerd's Leases service."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["Leases"]
        self._create = channel.unary(service, "Create", pb.CreateResponse)
        self._delete = channel.unary(service, "Delete", Empty)

    @asynccontextmanager
    async def held(self, lifetime: timedelta = timedelta(hours=1)) -> AsyncIterator[str]:
        """A lease for the duration of a block. Should this process die in it, the lease expires by itself."""
        expires = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = pb.CreateRequest(id=f"podium-{uuid.uuid4()}", labels={"containerd.io/gc.expire": expires})
        lease = (await self._create(wanted)).lease.id
        try:
            yield lease
        finally:
            await self._release(lease)

    async def _release(self, lease: str) -> None:
        try:
            await self._delete(pb.DeleteRequest(id=lease))
        except NotFound:
            return
