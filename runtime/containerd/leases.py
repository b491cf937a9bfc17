"""Leases: containerd's collector takes what nothing references, also what is just being made. A lease holds
it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.errors import ContainerdError, NotFound
from podium.runtime.protos import leases_pb2 as pb

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)
RENEWED, LINGERS = 60.0, 2.0
"""Seconds until a shared lease is left to those that have it, and others get a new one; for which one that
nobody has is kept for the next."""


@dataclass(slots=True)
class _Shared:
    """One lease for many short blocks. `made` is when, by the loop's clock."""

    lease: asyncio.Task[str]
    made: float
    users: int = 0
    going: asyncio.TimerHandle | None = None


class Leases:
    """containerd's Leases service."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["Leases"]
        self._create = channel.unary(service, "Create", pb.CreateResponse)
        self._delete = channel.unary(service, "Delete", Empty)
        self._shared: _Shared | None = None
        self._releases: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[str]:
        """A lease for the duration of a block. Should this process die in it, the lease expires by itself."""
        lease = await self._made()
        try:
            yield lease
        finally:
            await self._release(lease)

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[str]:
        """A lease that lasts at least as long as the block, the same for all that are in one at a time: for
        short blocks in which nothing is left behind, of which there may be many at once."""
        loop = asyncio.get_running_loop()
        shared = self._shared
        if shared is None or loop.time() - shared.made > RENEWED:
            shared = self._shared = _Shared(asyncio.create_task(self._made()), loop.time())
        if shared.going is not None:
            shared.going.cancel()
        shared.users += 1
        try:
            yield await asyncio.shield(shared.lease)
        except BaseException:
            # It may be what has failed.
            self._forget(shared)
            raise
        finally:
            shared.users -= 1
            if not shared.users:
                shared.going = loop.call_later(LINGERS, self._let_go, shared)

    def _forget(self, shared: _Shared) -> None:
        if self._shared is shared:
            self._shared = None

    def _let_go(self, shared: _Shared) -> None:
        self._forget(shared)
        release = asyncio.create_task(self._released(shared.lease))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)

    def close(self) -> None:
        """Leaves what is not released yet to expire."""
        if self._shared is not None and self._shared.going is not None:
            self._shared.going.cancel()
        for release in self._releases:
            release.cancel()

    async def _released(self, lease: asyncio.Task[str]) -> None:
        """Nobody waits for that; one that stays expires."""
        try:
            await self._release(await lease)
        except ContainerdError as error:
            log.debug("cannot release a lease: %s", error)

    async def _made(self) -> str:
        expires = (datetime.now(UTC) + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = pb.CreateRequest(id=f"podium-{uuid.uuid4()}", labels={"containerd.io/gc.expire": expires})
        return (await self._create(wanted)).lease.id

    async def _release(self, lease: str) -> None:
        try:
            await self._delete(pb.DeleteRequest(id=lease))
        except NotFound:
            return
