"""The event stream: what happens to tasks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC
from typing import NamedTuple

from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import NAMESPACE, Channel
from podium.runtime.containerd.errors import ContainerdError
from podium.runtime.containerd.tasks import Exit
from podium.runtime.protos import events_pb2 as pb
from podium.runtime.protos import task_events_pb2

_EXIT, _HELLO = "/tasks/exit", "/podium/hello"
_HELLO_PERIOD = 0.02


class Exited(NamedTuple):
    """The init process of a container has ended."""

    container_id: str
    exit: Exit


class Events:
    """containerd's Events service."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._service = pb.DESCRIPTOR.services_by_name["Events"]
        self._publish = channel.unary(self._service, "Publish", Empty)

    async def exits(self) -> AsyncIterator[Exited | None]:
        """None as soon as nothing can be missed any more, then ends of containers. Nothing is replayed: look
        at all tasks once after the None. Raises ContainerdError when the stream breaks.

        containerd does not say when a subscription is in force: we say hello until we hear ourselves."""
        filters = [f'namespace=={NAMESPACE},topic=="{topic}"' for topic in (_EXIT, _HELLO)]
        request = pb.SubscribeRequest(filters=filters)
        token = secrets.token_bytes(8)
        hello = asyncio.create_task(self._hello(token))
        try:
            async for envelope in self._channel.stream(self._service, "Subscribe", pb.Envelope, request):
                if envelope.topic == _HELLO:
                    if envelope.event.value == token and not hello.done():
                        hello.cancel()
                        yield None
                    continue
                event = task_events_pb2.TaskExit.FromString(envelope.event.value)
                # The init process carries its container's id; others are execs.
                if event.id == event.container_id:
                    at = event.exited_at.ToDatetime(tzinfo=UTC)
                    yield Exited(event.container_id, Exit(event.exit_status, at))
        finally:
            hello.cancel()

    async def _hello(self, token: bytes) -> None:
        event = PackedAny(type_url="podium.io/hello", value=token)
        while True:
            with contextlib.suppress(ContainerdError):
                await self._publish(pb.PublishRequest(topic=_HELLO, event=event))
            await asyncio.sleep(_HELLO_PERIOD)
