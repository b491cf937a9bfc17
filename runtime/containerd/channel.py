"""The connection to containerd and the calls on it.

Method paths come from the services' descriptors, so that no generated stubs are needed. Every call carries
the containerd namespace, and a lease where one is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from podium.runtime.containerd import errors
from podium.runtime.containerd.meter import CallMeter, operation

NAMESPACE = "k8s.io"
"""The containerd namespace of everything Podium makes; the CRI image service pulls into the same."""

CALL_TIMEOUT = 120.0
"""Seconds. Longer than anything but a pull takes on a machine that still works."""

_MESSAGE_LIMIT = 64 * 1024 * 1024
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    # gRPC's default for a Unix socket is its escaped path, which Go's server refuses as malformed.
    ("grpc.default_authority", "localhost"),
    # A containerd that was restarted is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

Reply = TypeVar("Reply", bound=Message)
ReplyOut = TypeVar("ReplyOut", bound=Message, covariant=True)


class Unary(Protocol[ReplyOut]):
    """One request, one reply. Raises ContainerdError."""

    async def __call__(
        self, request: Message, *, lease: str = "", within: float | None = CALL_TIMEOUT
    ) -> ReplyOut: ...


class Channel:
    """One connection to a containerd socket, connected on first use and again after every break."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.meter = CallMeter()
        self._channel = grpc.aio.insecure_channel(f"unix://{socket}", options=_OPTIONS)

    async def close(self) -> None:
        await self._channel.close()

    async def ready(self) -> None:
        """Returns once connected, however long that takes."""
        await self._channel.channel_ready()

    def unary(self, service: Any, name: str, reply: type[Reply]) -> Unary[Reply]:
        """The method `name` of a service's descriptor, as a coroutine function."""
        call = self._channel.unary_unary(
            f"/{service.full_name}/{name}",
            request_serializer=_encode,
            response_deserializer=reply.FromString,
        )
        counted = operation(service.full_name, name)

        async def invoke(request: Message, *, lease: str = "", within: float | None = CALL_TIMEOUT) -> Reply:
            with self.meter.measured(counted):
                try:
                    answer: Reply = await call(request, metadata=_metadata(lease), timeout=within)
                except grpc.aio.AioRpcError as error:
                    raise errors.of(error) from None
            return answer

        return invoke

    async def stream(
        self, service: Any, name: str, reply: type[Reply], request: Message
    ) -> AsyncIterator[Reply]:
        """The replies of a method that streams them, until the server ends or the caller stops iterating."""
        method = self._channel.unary_stream(
            f"/{service.full_name}/{name}",
            request_serializer=_encode,
            response_deserializer=reply.FromString,
        )
        call = method(request, metadata=_metadata(""))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise errors.of(error) from None
        finally:
            call.cancel()

    async def exchange(
        self, service: Any, name: str, reply: type[Reply], requests: AsyncIterator[Message], lease: str = ""
    ) -> list[Reply]:
        """Sends all requests over one stream and returns all replies."""
        replies: list[Reply] = []
        method = self._channel.stream_stream(
            f"/{service.full_name}/{name}",
            request_serializer=_encode,
            response_deserializer=reply.FromString,
        )
        call = method(metadata=_metadata(lease))
        try:
            async for request in requests:
                await call.write(request)
            await call.done_writing()
            replies = [answer async for answer in call]
            code = await call.code()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The server has ended the call while we were still writing: its status says why.
            code = await call.code()
        finally:
            call.cancel()
        if code is not grpc.StatusCode.OK:
            raise errors.of_status(code, await call.details())
        return replies


def _metadata(lease: str) -> tuple[tuple[str, str], ...]:
    named = (("containerd-namespace", NAMESPACE),)
    return (*named, ("containerd-lease", lease)) if lease else named


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
