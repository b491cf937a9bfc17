"""A client beside a container's own process: live output, and input where the container has one."""

from __future__ import annotations

import asyncio
import logging

from podium.api.types import Obj
from podium.runtime.containerd.errors import ContainerdError
from podium.runtime.interfaces import ContainerView
from podium.runtime.logs import ContainerIO, Tee
from podium.runtime.nodeapi import status
from podium.runtime.nodeapi.interfaces import Node, Resize, Session
from podium.runtime.nodeapi.pumps import Input, finish

log = logging.getLogger(__name__)


class Attachment:
    """One attached client. With `stdin_once` the container's input ends with the client's; otherwise it
    stays open for the next one."""

    def __init__(self, node: Node, container: ContainerView, *, stdin: bool, stdin_once: bool) -> None:
        self._node = node
        self._container = container
        self._stdin = container.stdin if stdin else ""
        self._stdin_once = stdin_once

    async def run(self, output: ContainerIO, session: Session) -> None:
        """Until the container has ended (a success, whatever its exit code) or the client is gone."""
        await finish(session, await self._serve(output, session))

    async def _serve(self, output: ContainerIO, session: Session) -> Obj | None:
        tee = output.tee()
        client = Input(self._stdin, self._input_ended, self._resize)
        incoming = asyncio.ensure_future(client.run(session))
        outgoing = asyncio.ensure_future(_send_all(tee, session))
        try:
            await session.greet()
            await asyncio.wait({incoming, outgoing}, return_when=asyncio.FIRST_COMPLETED)
            if not outgoing.done():
                return None
            outgoing.result()
            return status.success()
        except ConnectionError:
            return None
        finally:
            # To the end, although the request may be cancelled meanwhile: that is how a lost connection
            # shows.
            await asyncio.shield(asyncio.ensure_future(self._leave(tee, client, incoming, outgoing)))

    async def _leave(
        self, tee: Tee, client: Input, incoming: asyncio.Future[None], outgoing: asyncio.Future[None]
    ) -> None:
        container_goes_on = not outgoing.done()
        tee.close()
        incoming.cancel()
        outgoing.cancel()
        await asyncio.gather(incoming, outgoing, return_exceptions=True)
        if container_goes_on and self._stdin_once:
            await client.end()

    async def _input_ended(self) -> None:
        if not self._stdin_once:
            return
        try:
            await self._node.containerd.tasks.close_stdin(self._container.id)
        except ContainerdError as error:
            log.debug("cannot close the input of container %s: %s", self._container.id, error)

    async def _resize(self, size: Resize) -> None:
        if not self._container.terminal:
            return
        try:
            await self._node.containerd.tasks.resize(self._container.id, "", size.width, size.height)
        except ContainerdError as error:
            log.debug("cannot resize the terminal of container %s: %s", self._container.id, error)


async def _send_all(tee: Tee, session: Session) -> None:
    while (output := await tee.read()) is not None:
        await session.send(output.stream, output.data)
