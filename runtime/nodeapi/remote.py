"""The handlers of exec and attach."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from podium.runtime.commands import Processes
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.nodeapi.attach import Attachment
from podium.runtime.nodeapi.execute import Execution
from podium.runtime.nodeapi.interfaces import Node, Session
from podium.runtime.nodeapi.plain import PlainSession
from podium.runtime.nodeapi.request import Streams, container_spec, find_pod, streams
from podium.runtime.nodeapi.spdysession import PROTOCOLS, SpdySession, take_connection
from podium.runtime.nodeapi.upgrade import SPDY
from podium.runtime.nodeapi.websocket import WebSocketSession

log = logging.getLogger(__name__)

_DEAD_PEER = (
    60_000  # milliseconds that sent data may stay unacknowledged before the connection counts as dead
)
_OUTPUT = Streams(stdin=False, stdout=True, stderr=True, tty=False)


class RemoteCommands:
    """Requests are checked before the connection is upgraded, so that what is wrong is answered in plain
    HTTP."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._processes = Processes(node.containerd, most=32)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        wanted = streams(request.query)
        container = self._running(find_pod(self._node.pods, request), request.match_info["container"])
        command = request.query.getall("command", [])
        if not command:
            raise web.HTTPBadRequest(text="you must specify at least one command for the container")
        execution = self._execution(container, wanted)
        return await _with_session(request, wanted, lambda session: execution.run(command, session))

    async def run(self, request: web.Request) -> web.StreamResponse:
        """One command, without streams: `cmd` in the query, the output in the answer. Raises 500 with what
        it said when it failed."""
        view = find_pod(self._node.pods, request)
        container = self._running(view, request.match_info["container"])
        command = request.query.get("cmd", "").split(" ")
        session = PlainSession(request, command)
        await self._execution(container, _OUTPUT).run(command, session)
        assert session.response is not None
        return session.response

    def _execution(self, container: ContainerView, wanted: Streams) -> Execution:
        run_dir = self._node.config.run_dir
        return Execution(self._node.containerd, self._processes, container.id, run_dir, wanted)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        wanted = streams(request.query)
        view, name = find_pod(self._node.pods, request), request.match_info["container"]
        container = self._running(view, name)
        output = self._node.outputs.get(container.id)
        if output is None:
            raise _not_found(name)
        spec = container_spec(view.pod, name) or {}
        once = bool(spec.get("stdinOnce"))
        attachment = Attachment(self._node, container, stdin=wanted.stdin, stdin_once=once)
        return await _with_session(request, wanted, lambda session: attachment.run(output, session))

    def _running(self, view: PodView, name: str) -> ContainerView:
        container = view.container(name)
        if container is None or container.state != "running":
            raise _not_found(name)
        return container


def _not_found(container: str) -> web.HTTPException:
    return web.HTTPInternalServerError(text=f'container not found ("{container}")')


async def _with_session(
    request: web.Request, wanted: Streams, serve: Callable[[Session], Awaitable[None]]
) -> web.StreamResponse:
    """Upgrade the connection to whatever the client speaks, and serve it."""
    _notice_dead_peer(request)
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade == "websocket":
        session = await WebSocketSession.accept(request, wanted)
        await serve(session)
        return session.response
    if upgrade != SPDY.lower():
        raise web.HTTPBadRequest(text="unable to upgrade: missing upgrade headers in request")
    streams = SpdySession(*await take_connection(request, PROTOCOLS), wanted)
    try:
        await streams.open()
        await serve(streams)
    except ConnectionError as error:
        log.debug("client left before it opened its streams: %s", error)
    finally:
        await streams.close()
    return web.Response()


def _notice_dead_peer(request: web.Request) -> None:
    if request.transport is not None and (peer := request.transport.get_extra_info("socket")):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER)
