"""A further process in a running container, for one client: `kubectl exec`, `kubectl cp`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Sequence

from podium.api.types import Obj
from podium.runtime.commands import Processes
from podium.runtime.containerd.client import Containerd
from podium.runtime.containerd.errors import ContainerdError
from podium.runtime.containerd.tasks import Exit
from podium.runtime.logs import FifoSet, FifoStream
from podium.runtime.nodeapi import status
from podium.runtime.nodeapi.interfaces import Resize, Session
from podium.runtime.nodeapi.pumps import Input, finish, pump_output
from podium.runtime.nodeapi.request import Streams

log = logging.getLogger(__name__)

EXEC_PREFIX = "exec-"
_LEFTOVER_PATIENCE = (
    2.0  # seconds without output after the exit, while background processes hold the streams open
)


def exec_process(own: Obj, command: Sequence[str], *, tty: bool) -> Obj:
    """The OCI process of an exec: the container's `own` (user, environment, working directory, capabilities)
    with another command."""
    process = dict(own)
    process["args"] = list(command)
    process["terminal"] = tty
    process.pop("consoleSize", None)
    if tty and not any(entry.startswith("TERM=") for entry in process.get("env") or ()):
        process["env"] = [*(process.get("env") or ()), "TERM=xterm"]
    return process


class Execution:
    """One exec, from its FIFOs to its deletion. The process is killed when its client goes away."""

    def __init__(
        self, containerd: Containerd, processes: Processes, container_id: str, run_dir: str, wanted: Streams
    ) -> None:
        self._containerd = containerd
        self._processes = processes
        self._container = container_id
        self._wanted = wanted
        self._ended = False
        self.id = f"{EXEC_PREFIX}{secrets.token_hex(16)}"
        self._fifos = FifoSet.within(f"{run_dir}/{self.id}", stdin=wanted.stdin, tty=wanted.tty)

    async def run(self, command: Sequence[str], session: Session) -> None:
        """Run the command for the client and end its session, unless it is gone."""
        own = await self._processes.of(self._container)
        process = exec_process(own, command, tty=self._wanted.tty)
        self._fifos.make()
        try:
            async with self._process(process):
                # The client hears of the end before the process is forgotten, which can take the shim
                # seconds.
                await finish(session, await self._attend(command, session))
        except ContainerdError as error:
            failed = f'failed to exec in container: failed to start exec "{self.id}": {error}'
            said = f"error executing command in container: {failed}"
            await finish(session, status.internal_error(said))
        finally:
            self._fifos.remove()

    @contextlib.asynccontextmanager
    async def _process(self, process: Obj) -> AsyncIterator[None]:
        tasks, fifos = self._containerd.tasks, self._fifos
        await tasks.exec(
            self._container,
            self.id,
            process,
            stdin=fifos.stdin,
            stdout=fifos.stdout,
            stderr=fifos.stderr,
            terminal=self._wanted.tty,
        )
        try:
            yield
        finally:
            await asyncio.shield(asyncio.ensure_future(self._delete()))

    async def _delete(self) -> None:
        """Forget the process; kill it first if it still runs. To be shielded: a cancelled request must not
        leave it behind."""
        tasks = self._containerd.tasks
        try:
            state = None if self._ended else await tasks.get(self._container, self.id)
            if state is not None and state.running:
                await tasks.kill(self._container, signal.SIGKILL, exec_id=self.id)
                await tasks.wait(self._container, self.id)
            await tasks.delete_exec(self._container, self.id)
        except ContainerdError as error:
            log.warning("cannot delete %s of container %s: %s", self.id, self._container, error)

    async def _attend(self, command: Sequence[str], session: Session) -> Obj | None:
        """Start the process and serve its streams until it has exited and its output is sent, or the client
        is gone."""
        outputs = {"stdout": FifoStream(self._fifos.stdout)}
        if self._fifos.stderr:
            outputs["stderr"] = FifoStream(self._fifos.stderr)
        # Asked before it starts, containerd answers as soon as it knows.
        end = asyncio.ensure_future(self._containerd.tasks.wait(self._container, self.id))
        try:
            # The shim waits for a reader of each FIFO, so they are open before this.
            await self._containerd.tasks.start(self._container, self.id)
            code = await self._serve(session, outputs, end)
        finally:
            end.cancel()
            for fifo in outputs.values():
                fifo.close()
        return None if code is None else status.exited(code, command)

    async def _serve(
        self, session: Session, outputs: dict[str, FifoStream], end: asyncio.Future[Exit]
    ) -> int | None:
        client = Input(self._fifos.stdin, self._close_stdin, self._resize)
        incoming = asyncio.ensure_future(client.run(session))
        outgoing = asyncio.ensure_future(self._output(session, outputs, end))
        try:
            await session.greet()
            await asyncio.wait({incoming, outgoing}, return_when=asyncio.FIRST_COMPLETED)
            return outgoing.result() if outgoing.done() else None
        except ConnectionError:
            return None
        finally:
            incoming.cancel()
            outgoing.cancel()
            await asyncio.gather(incoming, outgoing, return_exceptions=True)

    async def _output(
        self, session: Session, outputs: dict[str, FifoStream], end: asyncio.Future[Exit]
    ) -> int:
        """All output to the client; the exit code."""
        parts = [asyncio.ensure_future(pump_output(fifo, name, session)) for name, fifo in outputs.items()]
        parts.append(asyncio.ensure_future(self._hear(end, outputs)))
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
        return end.result().code

    async def _hear(self, end: asyncio.Future[Exit], outputs: dict[str, FifoStream]) -> None:
        await end
        self._ended = True
        for fifo in outputs.values():
            fifo.hurry(_LEFTOVER_PATIENCE)

    async def _close_stdin(self) -> None:
        await self._containerd.tasks.close_stdin(self._container, self.id)

    async def _resize(self, size: Resize) -> None:
        try:
            await self._containerd.tasks.resize(self._container, self.id, size.width, size.height)
        except ContainerdError as error:
            log.debug("cannot resize the terminal of %s: %s", self.id, error)
