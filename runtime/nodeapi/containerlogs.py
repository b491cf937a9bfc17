"""GET containerLogs: what `kubectl logs` gets."""

from __future__ import annotations

import time
from contextlib import aclosing

from aiohttp import web

from podium.api.types import Obj
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.logs import LogOptions, read_logs
from podium.runtime.nodeapi.interfaces import Node
from podium.runtime.nodeapi.request import container_spec, container_status, find_pod

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
        return await self._send(request, container, options)

    async def _send(
        self, request: web.Request, container: ContainerView, options: LogOptions
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "text/plain"
        pieces = read_logs(container.log_path, options, self._node.outputs.ended(container.id))
        async with aclosing(pieces):
            await response.prepare(request)
            try:
                async for piece in pieces:
                    await response.write(piece)
            except FileNotFoundError:
                # The files went with the pod, or the container is about to write its first line.
                pass
        await response.write_eof()
        return response


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
