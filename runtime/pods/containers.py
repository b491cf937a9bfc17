"""Containers on containerd: made, started, ended, removed. It does what it is told for one attempt and knows
nothing of when.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from podium.api.types import Obj
from podium.runtime import confining, devices
from podium.runtime.cgroups import Cgroups
from podium.runtime.commands import Commands
from podium.runtime.config import Layout
from podium.runtime.containerd import Containerd, ContainerdError, NotFound
from podium.runtime.containerd.errors import TimedOut, Unavailable
from podium.runtime.containerd.snapshots import mapped
from podium.runtime.containerd.tasks import Exit
from podium.runtime.handlers import Runtime
from podium.runtime.images import Image
from podium.runtime.interfaces import MountedVolume
from podium.runtime.logs import FifoSet, LogOptions, Outputs, read_logs
from podium.runtime.machine import Machine
from podium.runtime.oci import ContainerInput, PodPaths, build
from podium.runtime.oci.resources import effective, linux_resources
from podium.runtime.oci.users import Accounts, read_accounts, resolve
from podium.runtime.pods import records, rules
from podium.runtime.pods.model import Attempt
from podium.runtime.pods.shims import with_shim
from podium.runtime.protos.types_pb2 import Mount

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 4096
MAX_NAME = 255
LOG_MESSAGE_LIMIT, LOG_MESSAGE_LINES = 2048, 80

CANNOT_START = 128
"""The exit code of a container whose process could not even be started."""


class StartError(Exception):
    """The process could not be started: no such command, and the like. `str()` is the runtime's message."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One attempt to be made, with everything it needs to know of its pod. `sources` gives, by mount path,
    what to mount there and whether it is read-only by itself; `mapped` are those whose files belong to the
    pod's own users anyway."""

    pod: Obj
    container: Obj
    image: Image
    env: Mapping[str, str]
    paths: PodPaths
    hostname: str
    sandbox: str
    number: int
    backoff: int
    sources: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    mapped: frozenset[str] = frozenset()
    volumes: Mapping[str, MountedVolume] = field(default_factory=dict)
    runtime: Runtime = field(default_factory=Runtime)


class Containers:
    """The containers of one node."""

    def __init__(
        self,
        containerd: Containerd,
        layout: Layout,
        cgroups: Cgroups,
        outputs: Outputs,
        machine: Machine,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self.containerd = containerd
        self.layout = layout
        self.cgroups = cgroups
        self.outputs = outputs
        self.commands = Commands(containerd, layout.run_dir / "exec")
        self._machine = machine
        self._now = now
        self._roots: dict[str, Sequence[Mount]] = {}

    async def make(self, wanted: Wanted) -> Attempt:
        """Makes the record and root file system of an attempt, ready to be started. Raises ConfigError,
        ContainerdError, OSError; then nothing is left behind."""
        attempt = Attempt(
            id=secrets.token_hex(32),
            name=wanted.container["name"],
            number=wanted.number,
            created_at=self._now(),
            backoff=wanted.backoff,
            sandbox=wanted.sandbox,
            spec_hash=rules.spec_hash(wanted.container),
            image=wanted.image.name,
            image_id=wanted.image.status_id,
            stop_signal=wanted.image.stop_signal,
            resources=effective(wanted.pod, wanted.container),
        )
        async with self.containerd.leases.shared() as lease:
            return await self._make(wanted, attempt, lease)

    async def _make(self, wanted: Wanted, attempt: Attempt, lease: str) -> Attempt:
        containerd = self.containerd
        users, runtime = wanted.paths.users, wanted.runtime
        labels = mapped(str(users.ids)) if users else None
        mounts = await containerd.snapshots.prepare(
            attempt.id, wanted.image.snapshot, lease=lease, labels=labels
        )
        try:
            given, attempt = await asyncio.to_thread(self._described, wanted, attempt, mounts)
            await containerd.containers.create(
                attempt.id,
                image=wanted.image.name,
                spec=build(given),
                snapshotter=containerd.snapshots.snapshotter,
                snapshot=attempt.id,
                labels=records.labels(wanted.pod, wanted.container, attempt),
                lease=lease,
                runtime=runtime.talking_to(users.ids.first) if users else runtime,
                systemd=self.cgroups.driver == "systemd",
            )
        except (Unavailable, TimedOut):
            await self._unmake(attempt.id)
            raise
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(containerd.snapshots.remove(attempt.id)))
            raise
        self._roots[attempt.id] = mounts
        return attempt

    async def _unmake(self, container_id: str) -> None:
        """containerd went away while it made a record, which may be there: nobody else would ever look for
        it."""
        while True:
            await self.containerd.channel.ready()
            try:
                await self.containerd.containers.delete(container_id)
                await self.containerd.snapshots.remove(container_id)
                return
            except (Unavailable, TimedOut) as error:
                log.warning("cannot remove container %s yet: %s", container_id, error)
                await asyncio.sleep(1.0)

    def _described(
        self, wanted: Wanted, attempt: Attempt, mounts: Sequence[Mount]
    ) -> tuple[ContainerInput, Attempt]:
        """The files of an attempt, and what its spec is made from. Blocks briefly."""
        pod, container = wanted.pod, wanted.container
        meta = pod["metadata"]
        self.cgroups.ensure(pod)
        accounts = read_accounts(_layers(mounts)) if mounts else Accounts()
        user = resolve(pod, container, wanted.image.user, accounts)
        termination = self.layout.termination_log(meta["uid"], attempt.name, attempt.number)
        termination.parent.mkdir(parents=True, exist_ok=True)
        termination.touch(0o666)
        termination.chmod(0o666)
        logs = self.log_path(pod, attempt)
        os.makedirs(os.path.dirname(logs), 0o755, exist_ok=True)
        self.fifos(pod, container, attempt).make()
        given = ContainerInput(
            pod=pod,
            container=container,
            image=wanted.image,
            env=wanted.env,
            user=user,
            paths=wanted.paths,
            cgroup=self.cgroups.names.for_runc(pod, attempt.id),
            sources=wanted.sources,
            mapped=wanted.mapped,
            termination_log=str(termination),
            hostname=wanted.hostname,
            devices=devices.of(container, wanted.volumes),
            available=self._machine.capabilities,
            memory_capacity=self._machine.memory,
            oom_floor=self._machine.oom_floor,
            cgroup_v2=self.cgroups.unified,
            page_sizes=self.cgroups.page_sizes,
            confinement=confining.confinement(pod, container, self.layout.seccomp),
        )
        return given, replace(attempt, user=user)

    def fifos(self, pod: Obj, container: Obj, attempt: Attempt) -> FifoSet:
        folder = self.layout.fifos(pod["metadata"]["uid"], attempt.id)
        return FifoSet.within(str(folder), stdin=bool(container.get("stdin")), tty=bool(container.get("tty")))

    def log_path(self, pod: Obj, attempt: Attempt) -> str:
        meta = pod["metadata"]
        path = self.layout.log(
            meta.get("namespace", ""), meta["name"], meta["uid"], attempt.name, attempt.number
        )
        return str(path)

    async def start(self, pod: Obj, container: Obj, attempt: Attempt) -> Attempt:
        """Runs a container that was just made. Raises StartError; Unavailable or TimedOut when it may or may
        not have been started."""
        fifos = self.fifos(pod, container, attempt)
        tasks = self.containerd.tasks
        try:
            await self.collect(pod, container, attempt)
            mounts = self._roots.pop(attempt.id, None) or await self.containerd.snapshots.mounts(attempt.id)
            create = partial(
                tasks.create,
                attempt.id,
                rootfs=mounts,
                stdin=fifos.stdin,
                stdout=fifos.stdout,
                stderr=fifos.stderr,
                terminal=bool(container.get("tty")),
            )
            pid = await with_shim(create)
        except (Unavailable, TimedOut):
            raise
        except (ContainerdError, OSError) as error:
            raise StartError(f"failed to create containerd task: {error}") from error
        try:
            await tasks.start(attempt.id)
        except (Unavailable, TimedOut):
            raise
        except ContainerdError as error:
            raise StartError(f'failed to start containerd task "{attempt.id}": {error}') from error
        self._link_log(pod, attempt)
        return attempt.running(pid, self._now())

    async def settle(self, pod: Obj, container: Obj, attempt: Attempt) -> tuple[Attempt | None, Exit | None]:
        """What became of a start that containerd did not answer: the running attempt, and its end if it has
        ended meanwhile. (None, None) where there was no process; then nothing is left of it. Raises
        ContainerdError while containerd cannot tell."""
        await self.containerd.channel.ready()
        task = await self.containerd.tasks.get(attempt.id)
        if task is not None and (task.running or task.exit):
            self._link_log(pod, attempt)
            return attempt.running(task.pid, self._now()), task.exit
        await self.outputs.close(attempt.id)
        self.fifos(pod, container, attempt).remove()
        await self.remove(pod, attempt)
        return None, None

    def _link_log(self, pod: Obj, attempt: Attempt) -> None:
        """The place where many log shippers look: containers/POD_NAMESPACE_CONTAINER-ID.log beside pods/. The
        container runs by now, with or without it."""
        link = self._log_link(pod, attempt)
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self.log_path(pod, attempt))
        except OSError as error:
            log.warning("no link to the log of container %s: %s", attempt.id, error)

    def _unlink_log(self, pod: Obj, attempt: Attempt) -> None:
        """What was cut short may be the name of a later attempt's link by now."""
        link = self._log_link(pod, attempt)
        if link.is_symlink() and os.readlink(link) == self.log_path(pod, attempt):
            link.unlink()

    def _log_link(self, pod: Obj, attempt: Attempt) -> Path:
        meta = pod["metadata"]
        name = f"{meta['name']}_{meta.get('namespace', '')}_{attempt.name}-{attempt.id}"
        return self.layout.log_dir.parent / "containers" / f"{name[: MAX_NAME - 4]}.log"

    async def collect(self, pod: Obj, container: Obj, attempt: Attempt) -> None:
        """Begins to move the container's output, or goes on with it after a restart of the daemon."""
        fifos = self.fifos(pod, container, attempt)
        await self.outputs.open(
            attempt.id,
            self.log_path(pod, attempt),
            stdout=fifos.stdout,
            stderr=fifos.stderr,
            terminal=bool(container.get("tty")),
        )

    async def failed(self, pod: Obj, container: Obj, attempt: Attempt, message: str) -> Attempt:
        """The record of an attempt whose process could not be started."""
        ended = replace(attempt, started_at=attempt.started_at).exited(
            CANNOT_START, self._now(), "StartError", message
        )
        await self._let_go(pod, container, ended)
        return ended

    async def ended(
        self, pod: Obj, container: Obj, attempt: Attempt, end: Exit, *, leaving: bool = False
    ) -> Attempt:
        """The record of an attempt whose process has ended: why, and what it had to say. Its task is
        forgotten, which a pod that is `leaving` need not wait for: until `remove` it tells a later daemon of
        the end."""
        await self.outputs.close(attempt.id)
        killed = await asyncio.to_thread(self.cgroups.oom_kills, self.cgroups.container(pod, attempt.id))
        reason = "Completed" if end.code == 0 else "OOMKilled" if killed else "Error"
        message = await self._last_words(pod, container, attempt, end.code)
        ended = attempt.exited(end.code, end.at, reason, message)
        if not leaving or _shares_processes(pod):
            await self._let_go(pod, container, ended)
        return ended

    async def _let_go(self, pod: Obj, container: Obj, ended: Attempt) -> None:
        """Writes down how it ended first, so that a daemon that dies in between finds it."""
        await self.outputs.close(ended.id)
        self.commands.forget(ended.id)
        try:
            await self.remember(ended)
        except NotFound:
            return
        await self._delete_task(ended.id)
        self.fifos(pod, container, ended).remove()

    async def _delete_task(self, container_id: str) -> None:
        """Also where a process runs that is not wanted: after a start that was not answered in time. Raises
        ContainerdError while a process may be left, beside which no other may be started."""
        tasks = self.containerd.tasks
        try:
            await tasks.delete(container_id)
        except (Unavailable, TimedOut):
            raise
        except ContainerdError:
            # A running process is a conflict to containerd, but an error of no kind to its shim.
            if await tasks.kill(container_id, signal.SIGKILL, everyone=True):
                await tasks.wait(container_id)
            await self._delete_dead_task(container_id)

    async def _delete_dead_task(self, container_id: str) -> None:
        try:
            await self.containerd.tasks.delete(container_id)
        except ContainerdError as error:
            left = await self.containerd.tasks.get(container_id)
            if left is not None and left.exit is None:
                raise
            log.warning("cannot delete the task of container %s: %s", container_id, error)

    async def resize(self, attempt: Attempt, resources: Obj) -> Attempt:
        """Gives a running container other cpu and memory. Raises ContainerdError."""
        limits = linux_resources({"resources": resources}, cgroup_v2=self.cgroups.unified)
        await self.containerd.tasks.update(attempt.id, limits)
        resized = replace(attempt, resources=resources)
        await self.remember(resized)
        return resized

    async def remember(self, attempt: Attempt) -> None:
        """Keeps with the record how the attempt goes on."""
        await self.containerd.containers.set_extension(
            attempt.id, records.PROGRESS, records.progress(attempt)
        )

    async def _last_words(self, pod: Obj, container: Obj, attempt: Attempt, code: int) -> str:
        """The termination message: what the container wrote to its file, or the end of its log."""
        path = self.layout.termination_log(pod["metadata"]["uid"], attempt.name, attempt.number)
        try:
            with path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MESSAGE_LIMIT))
                text = file.read(MESSAGE_LIMIT).decode(errors="replace")
        except FileNotFoundError:
            text = ""
        if text or code == 0 or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return text
        options = LogOptions(tail=LOG_MESSAGE_LINES)
        try:
            pieces = [piece async for piece in read_logs(self.log_path(pod, attempt), options)]
        except FileNotFoundError:
            return ""
        return b"".join(pieces)[-LOG_MESSAGE_LIMIT:].decode(errors="replace")

    async def signal(self, pod: Obj, attempt: Attempt, number: int) -> bool:
        """Sends a signal to the container's first process; False when it has none any more. SIGKILL reaches
        all processes where the first one's end does not end the others."""
        everyone = _shares_processes(pod) and number == signal.SIGKILL
        return await self.containerd.tasks.kill(attempt.id, number, everyone=everyone)

    async def remove(self, pod: Obj, attempt: Attempt) -> None:
        """Removes everything of an ended attempt but what its pod's folder holds; the record last, by which
        a later daemon finds the rest. Idempotent."""
        self._roots.pop(attempt.id, None)
        self.commands.forget(attempt.id)
        await self._delete_task(attempt.id)
        self._unlink_log(pod, attempt)
        await asyncio.to_thread(_remove_log, self.log_path(pod, attempt))
        await self.containerd.snapshots.remove(attempt.id)
        await self.containerd.containers.delete(attempt.id)


def _shares_processes(pod: Obj) -> bool:
    """Whether the end of a container's first process does not end the others."""
    return bool(pod["spec"].get("shareProcessNamespace") or pod["spec"].get("hostPID"))


def _layers(mounts: Sequence[Mount]) -> list[str]:
    """The directories of a root file system, the topmost first."""
    found: list[str] = []
    for mount in mounts:
        if mount.type == "bind":
            found.append(mount.source)
        for option in mount.options:
            name, _, value = option.partition("=")
            if name in ("upperdir", "lowerdir"):
                found += [value] if name == "upperdir" else value.split(":")
    return found


def _remove_log(path: str) -> None:
    """The log and its rotated parts."""
    folder, name = os.path.split(path)
    try:
        entries = os.listdir(folder)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry == name or entry.startswith(f"{name}."):
            os.unlink(os.path.join(folder, entry))
