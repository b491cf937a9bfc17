"""Tasks: the processes of containers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from google.protobuf.empty_pb2 import Empty

from podium.api.types import Obj
from podium.runtime.containerd.channel import Channel
from podium.runtime.containerd.containers import PROCESS_TYPE, RESOURCES_TYPE, packed
from podium.runtime.containerd.errors import Conflict, NotFound
from podium.runtime.protos import task_pb2
from podium.runtime.protos import tasks_pb2 as pb
from podium.runtime.protos.types_pb2 import Mount


class Exit(NamedTuple):
    """How a process ended: its exit code (128 + N when signal N killed it) and when."""

    code: int
    at: datetime


class TaskState(NamedTuple):
    """A task's init process. `exit` is set once it has stopped."""

    container_id: str
    pid: int
    running: bool
    created: bool
    exit: Exit | None


def _state(process: task_pb2.Process) -> TaskState:
    stopped = process.status == task_pb2.STOPPED
    end = Exit(process.exit_status, process.exited_at.ToDatetime(tzinfo=UTC)) if stopped else None
    running = process.status in (task_pb2.RUNNING, task_pb2.PAUSED, task_pb2.PAUSING)
    # Listing fills in `id` alone, getting one process `container_id` too.
    return TaskState(
        process.container_id or process.id, process.pid, running, process.status == task_pb2.CREATED, end
    )


class Tasks:
    """containerd's Tasks service. An `exec_id` names a further process in a container, "" its init
    process."""

    def __init__(self, channel: Channel) -> None:
        service = pb.DESCRIPTOR.services_by_name["Tasks"]
        self._create = channel.unary(service, "Create", pb.CreateTaskResponse)
        self._start = channel.unary(service, "Start", pb.StartResponse)
        self._delete = channel.unary(service, "Delete", pb.DeleteResponse)
        self._delete_process = channel.unary(service, "DeleteProcess", pb.DeleteResponse)
        self._get = channel.unary(service, "Get", pb.GetResponse)
        self._list = channel.unary(service, "List", pb.ListTasksResponse)
        self._kill = channel.unary(service, "Kill", Empty)
        self._exec = channel.unary(service, "Exec", Empty)
        self._resize = channel.unary(service, "ResizePty", Empty)
        self._close_io = channel.unary(service, "CloseIO", Empty)
        self._wait = channel.unary(service, "Wait", pb.WaitResponse)
        self._update = channel.unary(service, "Update", Empty)

    async def create(
        self,
        container_id: str,
        *,
        rootfs: Sequence[Mount],
        stdin: str = "",
        stdout: str = "",
        stderr: str = "",
        terminal: bool = False,
    ) -> int:
        """Makes the container's namespaces and init process, not running yet; returns its pid. The FIFOs
        exist; the shim keeps both ends of them open."""
        request = pb.CreateTaskRequest(
            container_id=container_id,
            rootfs=rootfs,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
        )
        return (await self._create(request)).pid

    async def start(self, container_id: str, exec_id: str = "") -> int:
        return (await self._start(pb.StartRequest(container_id=container_id, exec_id=exec_id))).pid

    async def delete(self, container_id: str) -> Exit | None:
        """Forgets a stopped task; None when there is none."""
        try:
            reply = await self._delete(pb.DeleteTaskRequest(container_id=container_id))
        except NotFound:
            return None
        return Exit(reply.exit_status, reply.exited_at.ToDatetime(tzinfo=UTC))

    async def delete_exec(self, container_id: str, exec_id: str) -> Exit | None:
        """Forgets an ended exec; None when there is none."""
        try:
            request = pb.DeleteProcessRequest(container_id=container_id, exec_id=exec_id)
            reply = await self._delete_process(request)
        except NotFound:
            return None
        return Exit(reply.exit_status, reply.exited_at.ToDatetime(tzinfo=UTC))

    async def get(self, container_id: str, exec_id: str = "") -> TaskState | None:
        try:
            reply = await self._get(pb.GetRequest(container_id=container_id, exec_id=exec_id))
        except NotFound:
            return None
        return _state(reply.process)

    async def list(self) -> dict[str, TaskState]:
        """Every task, by container."""
        reply = await self._list(pb.ListTasksRequest())
        return {state.container_id: state for state in map(_state, reply.tasks)}

    async def kill(
        self, container_id: str, signal: int, *, exec_id: str = "", everyone: bool = False
    ) -> bool:
        """Sends a signal, to every process of the container with `everyone`; False when the process is
        gone."""
        request = pb.KillRequest(container_id=container_id, exec_id=exec_id, signal=signal, all=everyone)
        try:
            await self._kill(request)
        except (NotFound, Conflict):
            return False
        return True

    async def exec(
        self,
        container_id: str,
        exec_id: str,
        process: Obj,
        *,
        stdin: str = "",
        stdout: str = "",
        stderr: str = "",
        terminal: bool = False,
    ) -> None:
        """Adds a process (an OCI runtime spec `process`) to a running container; `start` runs it."""
        request = pb.ExecProcessRequest(
            container_id=container_id,
            exec_id=exec_id,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
            spec=packed(PROCESS_TYPE, process),
        )
        await self._exec(request)

    async def resize(self, container_id: str, exec_id: str, width: int, height: int) -> None:
        """Sets a terminal's size in characters."""
        await self._resize(
            pb.ResizePtyRequest(container_id=container_id, exec_id=exec_id, width=width, height=height)
        )

    async def update(self, container_id: str, resources: Obj) -> None:
        """Changes the limits of a running container (an OCI runtime spec `linux.resources`); what is not in
        there stays as it is."""
        request = pb.UpdateTaskRequest(container_id=container_id, resources=packed(RESOURCES_TYPE, resources))
        await self._update(request)

    async def close_stdin(self, container_id: str, exec_id: str = "") -> None:
        """Lets the process see the end of its input: the shim closes its own end of the FIFO."""
        await self._close_io(pb.CloseIORequest(container_id=container_id, exec_id=exec_id, stdin=True))

    async def wait(self, container_id: str, exec_id: str = "") -> Exit:
        """Waits for the end of a process, however long it takes."""
        request = pb.WaitRequest(container_id=container_id, exec_id=exec_id)
        reply = await self._wait(request, within=None)
        return Exit(reply.exit_status, reply.exited_at.ToDatetime(tzinfo=UTC))
