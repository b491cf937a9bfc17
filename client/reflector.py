"""Keeps somebody's picture of one resource true: list, watch, watch again from where the last one ended, and
list afresh when that revision is gone. What is done with the objects is the sink's business, so that whoever
needs only a few words of each object keeps no more than those.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import Resource
from podium.api.types.results import Holder
from podium.client.base import Client
from podium.client.clock import Clock, sleep

log = logging.getLogger(__name__)

BASE_DELAY = 0.2  # seconds before the first reconnect after a failure
MAX_DELAY = 30.0


class Sink(Protocol):
    """Called on the event loop, in the order of revisions; must not block."""

    def replace(self, items: Sequence[Obj], holders: Sequence[Holder] = ()) -> None:
        """These objects and no others exist now."""

    def apply(self, type_: str, obj: Obj, holder: Holder | None = None) -> None:
        """ADDED, MODIFIED or DELETED; the last with the object's last state."""


class Reflector:
    """One resource, perhaps one namespace or selection of it, reflected into a sink by `run`."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.resource = resource
        self._client, self._sink, self._clock = client, sink, clock
        self._namespace, self._labels, self._fields = namespace, labels, fields
        self._version = ""
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. Failures of the server or the way to it are waited out, with growing, jittered
        pauses."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except StatusError as error:
                await self._failed(error)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                await self._failed(error)

    async def _list(self) -> None:
        found = await self._client.list(
            self.resource, self._namespace, labels=self._labels, fields=self._fields
        )
        for why in found.unreadable:
            log.error("%s: goes on without an object that cannot be read: %s", self.resource.plural, why)
        self._sink.replace(found.items, found.holders)
        self._version = found.resource_version
        self._failures = 0

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        started, seen = loop.time(), False
        async for event in self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            labels=self._labels,
            fields=self._fields,
        ):
            if event.type != "BOOKMARK":
                self._sink.apply(event.type, event.object, event.holder)
            self._version = event.object["metadata"]["resourceVersion"]
            self._failures, seen = 0, True
        if not seen and loop.time() - started < BASE_DELAY:
            # A server that ends watches at once, without an error, must not be asked in a tight loop.
            await self._pause()

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, StatusError) and error.code == 410:
            log.debug("%s: revision %s is gone, listing afresh", self.resource.plural, self._version)
            self._version = ""
            if self._failures == 0:
                self._failures = 1
                return
        elif self._failures == 0:
            log.info("%s: watch failed, will reconnect: %s", self.resource.plural, error)
        await self._pause()

    async def _pause(self) -> None:
        delay = min(BASE_DELAY * 2.0 ** min(self._failures, 16), MAX_DELAY)
        self._failures += 1
        await sleep(self._clock, delay * random.uniform(0.5, 1.0))
