"""GET containerLogs: what `kubectl logs` gets."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from aiohttp import web

from podium.api.types import Obj
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.logs import LogOptions, read_logs
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.request import container_spec, container_status, find_pod

_BASE64 = "base64.binary.k8s.io"
_PROTOCOLS = ("binary.k8s.io", _BASE64)

_PULL_FAILURES = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class ContainerLogs:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def get(self, request: web.Request) -> web.StreamResponse:
        try:
            options = LogOptions.from_query(request.query, time.time_ns())
        except ValueError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        view, name = find_pod(self._node.pods, request), request.match_info["container"]
        container = pick_attempt(view, name, previous=options.previous)
        pieces = read_logs(container.log_path, options, self._node.outputs.ended(container.id))
        async with aclosing(pieces):
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _send_messages(request, pieces)
            return await _send(request, pieces)


async def _send(request: web.Request, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "text/plain"
    await response.prepare(request)
    await _pass_on(pieces, response.write)
    await response.write_eof()
    return response


async def _send_messages(request: web.Request, pieces: AsyncIterator[bytes]) -> web.WebSocketResponse:
    """Over a WebSocket, as browsers need it: binary messages, or text of base64. Ends early when the client
    leaves. Raises HTTPBadRequest when the client offers protocols and none of them is ours. Source:
    k8s.io/apiserver, util/wsstream."""
    offered = {name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")} - {""}
    if offered and not offered & set(_PROTOCOLS):
        raise web.HTTPBadRequest(text=f"unable to negotiate protocol: client supports {sorted(offered)}")
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, compress=False)
    await socket.prepare(request)

    async def send(piece: bytes) -> None:
        if socket.ws_protocol == _BASE64:
            await socket.send_str(base64.b64encode(piece).decode())
        else:
            await socket.send_bytes(piece)

    sending = asyncio.ensure_future(_pass_on(pieces, send))
    leaving = asyncio.ensure_future(_closed(socket))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not socket.closed:
            sending.result()
    finally:
        for each in (sending, leaving):
            each.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    await socket.close()
    return socket


async def _pass_on(pieces: AsyncIterator[bytes], send: Callable[[bytes], Awaitable[None]]) -> None:
    try:
        async for piece in pieces:
            await send(piece)
    except FileNotFoundError:
        # The files went with the pod, or the container is about to write its first line.
        pass


async def _closed(socket: web.WebSocketResponse) -> None:
    """Returns once the client is gone. What it sends means nothing here."""
    async for _ in socket:
        pass


def pick_attempt(view: PodView, name: str, *, previous: bool) -> ContainerView:
    """The start of the container whose log is wanted. Raises the kubelet's errors: HTTPNotFound for a
    container that the pod does not have, HTTPBadRequest for one that has no log (yet)."""
    pod = view.pod["metadata"]["name"]
    if container_spec(view.pod, name) is None:
        raise web.HTTPNotFound(text=f'container "{name}" not found in pod "{pod}"')
    if container := view.container(name, previous=previous):
        return container
    if previous:
        raise web.HTTPBadRequest(text=f'previous terminated container "{name}" in pod "{pod}" not found')
    raise web.HTTPBadRequest(text=f'container "{name}" in pod "{pod}" {_why_no_log(view.pod, name)}')


def _why_no_log(pod: Obj, name: str) -> str:
    status = container_status(pod, name)
    if status is None:
        return "is not available"
    reason = ((status.get("state") or {}).get("waiting") or {}).get("reason")
    if not reason:
        return "is waiting to start - no logs yet"
    return f"is waiting to start: {_PULL_FAILURES.get(reason, reason)}"
