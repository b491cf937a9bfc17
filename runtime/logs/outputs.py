"""The outputs of all containers on this machine."""

from __future__ import annotations

import asyncio

from podium.runtime.logs.container import ContainerIO
from podium.runtime.logs.file import LogLimits


class Outputs:
    """Keeps one `ContainerIO` per container with a task; `podium.runtime.interfaces.ContainerLogs` is the
    side of it that the daemon uses, `get` and `ended` that of the node API."""

    def __init__(self, limits: LogLimits | None = None) -> None:
        self._limits = limits or LogLimits()
        self._open: dict[str, ContainerIO] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def open(
        self, container_id: str, log_path: str, *, stdout: str, stderr: str, terminal: bool = False
    ) -> None:
        """Start to move one container's output, before its task is created and after every daemon restart.
        Idempotent."""
        if container_id not in self._open:
            self._open[container_id] = ContainerIO(stdout, "" if terminal else stderr, log_path, self._limits)

    async def close(self, container_id: str) -> None:
        """Once the container has exited: move what is left, then let go. The FIFOs can be removed then.
        Idempotent."""
        if container_id in self._open and container_id not in self._closing:
            task = asyncio.create_task(self._open[container_id].close())
            self._closing[container_id] = task
            task.add_done_callback(lambda _: self._forget(container_id))
        if closing := self._closing.get(container_id):
            await asyncio.shield(closing)

    def get(self, container_id: str) -> ContainerIO | None:
        return self._open.get(container_id)

    def ended(self, container_id: str) -> asyncio.Event:
        """Set when the container's log is complete."""
        if output := self._open.get(container_id):
            return output.closed
        complete = asyncio.Event()
        complete.set()
        return complete

    async def detach(self) -> None:
        """The daemon stops: let go of all containers, which go on."""
        outputs = [output for container, output in self._open.items() if container not in self._closing]
        await asyncio.gather(*self._closing.values(), *(output.detach() for output in outputs))
        self._open.clear()

    def _forget(self, container_id: str) -> None:
        self._open.pop(container_id, None)
        self._closing.pop(container_id, None)
