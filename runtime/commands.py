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
from typing import Any, NamedTuple

import orjson

from podium.api.types import Obj
from podium.runtime.containerd import Containerd, ContainerdError
from podium.runtime.containerd.tasks import Exit
from podium.runtime.logs import FifoSet, FifoStream

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 10 * 1024
_LEFTOVER = 0.5
"""Seconds to wait for output of processes that the command left behind."""


class Result(NamedTuple):
    """`code` is None for a command that took too long; `output` holds both streams' beginning."""

    code: int | None
    output: str


class Processes:
    """What containers' own processes are (OCI runtime spec `process`): as whom, where and with which
    environment their commands run. Asked for once; of those asked for last, `most` are remembered."""

    def __init__(self, containerd: Containerd, most: int = 256) -> None:
        self._containerd = containerd
        self._most = most
        self._known: dict[str, Obj] = {}

    async def of(self, container_id: str) -> Obj:
        """Raises ContainerdError when there is no such container."""
        known = self._known.pop(container_id, None)
        if known is None:
            record = await self._containerd.containers.get(container_id)
            known = orjson.loads(record.spec.value)["process"]
        self._known[container_id] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return known

    def forget(self, container_id: str) -> None:
        self._known.pop(container_id, None)


class Commands:
    """Runs commands. `folder` is for FIFOs."""

    def __init__(self, containerd: Containerd, folder: Path) -> None:
        self._containerd = containerd
        self._folder = folder
        self._processes = Processes(containerd)

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        self._processes.forget(container_id)

    async def run(self, container_id: str, command: Sequence[str], within: float | None) -> Result:
        """Raises ContainerdError when the command cannot be started: no such file, no such container."""
        process = {**await self._processes.of(container_id), "args": list(command), "terminal": False}
        exec_id = f"probe-{secrets.token_hex(8)}"
        fifos = FifoSet.within(f"{self._folder}/{exec_id}")
        fifos.make()
        try:
            return await self._run(container_id, exec_id, fifos, process, within)
        finally:
            fifos.remove()

    async def _run(
        self, container_id: str, exec_id: str, fifos: FifoSet, process: Obj, within: float | None
    ) -> Result:
        streams = [FifoStream(fifos.stdout), FifoStream(fifos.stderr)]
        tasks = self._containerd.tasks
        under_way: list[asyncio.Future[Any]] = []
        end: asyncio.Future[Exit] | None = None
        try:
            await tasks.exec(container_id, exec_id, process, stdout=fifos.stdout, stderr=fifos.stderr)
            # Asked before it starts, containerd answers as soon as it knows.
            end = asyncio.ensure_future(tasks.wait(container_id, exec_id))
            output = asyncio.gather(*(_collect(stream) for stream in streams))
            under_way += (end, output)
            await tasks.start(container_id, exec_id)
            code = await self._wait(container_id, exec_id, end, within)
            for stream in streams:
                stream.hurry(_LEFTOVER)
            out = b"".join(await output)[:OUTPUT_LIMIT]
            return Result(code, out.decode(errors="replace"))
        finally:
            ended = end is not None and end.done() and not end.cancelled() and end.exception() is None
            for each in under_way:
                each.cancel()
            for stream in streams:
                stream.close()
            await asyncio.shield(asyncio.ensure_future(self._delete(container_id, exec_id, ended)))

    async def _wait(
        self, container_id: str, exec_id: str, end: asyncio.Future[Exit], within: float | None
    ) -> int | None:
        done, _ = await asyncio.wait({end}, timeout=within)
        if done:
            return end.result().code
        await self._containerd.tasks.kill(container_id, signal.SIGKILL, exec_id=exec_id)
        await end
        return None

    async def _delete(self, container_id: str, exec_id: str, ended: bool) -> None:
        if not ended:
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
