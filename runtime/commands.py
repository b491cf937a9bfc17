"""Short commands in running containers, for probes and hooks: run, collect what is printed, in bounded
time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from podium.api.types import Obj
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.logs import FifoSet, FifoStream

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 10 * 1024
_LEFTOVER = 0.5
"""Seconds to wait for output of processes that the command left behind."""


class Result(NamedTuple):
    """`code` is None for a command that took too long; `output` holds both streams' beginning."""

    code: int | None
    output: str


class Commands:
    """Runs commands. `folder` is for FIFOs."""

    def __init__(self, containerd: Containerd, folder: Path) -> None:
        self._containerd = containerd
        self._folder = folder
        self._processes: dict[str, Obj] = {}

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        self._processes.pop(container_id, None)

    async def run(self, container_id: str, command: Sequence[str], within: float | None) -> Result:
        """Raises ContainerdError when the command cannot be started: no such file, no such container."""
        process = {**await self._process(container_id), "args": list(command), "terminal": False}
        exec_id = f"probe-{secrets.token_hex(8)}"
        fifos = FifoSet.within(f"{self._folder}/{exec_id}")
        fifos.make()
        try:
            return await self._run(container_id, exec_id, fifos, process, within)
        finally:
            fifos.remove()

    async def _process(self, container_id: str) -> Obj:
        """The container's own process: commands run as the same user in the same environment."""
        if container_id not in self._processes:
            record = await self._containerd.containers.get(container_id)
            self._processes[container_id] = orjson.loads(record.spec.value)["process"]
        return self._processes[container_id]

    async def _run(
        self, container_id: str, exec_id: str, fifos: FifoSet, process: Obj, within: float | None
    ) -> Result:
        streams = [FifoStream(fifos.stdout), FifoStream(fifos.stderr)]
        tasks = self._containerd.tasks
        readers: asyncio.Future[list[bytes]] | None = None
        try:
            await tasks.exec(container_id, exec_id, process, stdout=fifos.stdout, stderr=fifos.stderr)
            readers = asyncio.gather(*(_collect(stream) for stream in streams))
            await tasks.start(container_id, exec_id)
            code = await self._wait(container_id, exec_id, within)
            for stream in streams:
                stream.hurry(_LEFTOVER)
            out = b"".join(await readers)[:OUTPUT_LIMIT]
            return Result(code, out.decode(errors="replace"))
        finally:
            if readers is not None:
                readers.cancel()
            for stream in streams:
                stream.close()
            await asyncio.shield(asyncio.ensure_future(self._delete(container_id, exec_id)))

    async def _wait(self, container_id: str, exec_id: str, within: float | None) -> int | None:
        try:
            async with asyncio.timeout(within):
                return (await self._containerd.tasks.wait(container_id, exec_id)).code
        except TimeoutError:
            await self._containerd.tasks.kill(container_id, signal.SIGKILL, exec_id=exec_id)
            await self._containerd.tasks.wait(container_id, exec_id)
            return None

    async def _delete(self, container_id: str, exec_id: str) -> None:
        with contextlib.suppress(ContainerdError):
            await self._containerd.tasks.kill(container_id, signal.SIGKILL, exec_id=exec_id)
        try:
            await self._containerd.tasks.delete_exec(container_id, exec_id)
        except ContainerdError as error:
            log.debug("cannot delete exec %s of %s: %s", exec_id, container_id, error)


async def _collect(stream: FifoStream) -> bytes:
    """The beginning of a stream; the rest is read and dropped, so that the writer does not block."""
    kept = bytearray()
    while chunk := await stream.read():
        kept += chunk[: max(0, OUTPUT_LIMIT - len(kept))]
    return bytes(kept)
