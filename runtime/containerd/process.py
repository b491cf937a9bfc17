"""Podium's own containerd: a child with its own root, state, socket and configuration, so that a containerd
that runs here for somebody else is left alone.

It outlives the daemon (a session of its own) and is found again by its socket: whoever listens there is it.
So a daemon that was killed goes on with the same containerd, and containers never notice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from podium.runtime.containerd.client import Containerd
from podium.runtime.containerd.errors import ContainerdError, Unavailable

log = logging.getLogger(__name__)

START_TIMEOUT = 30.0

REGISTRIES = "/etc/containerd/certs.d"
"""Where containerd looks for what it is to know about a registry: `HOST/hosts.toml`."""

# What Podium does not use of containerd: less memory, a faster start. Names a version does not know are
# ignored by it.
_DISABLED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.monitor.v1.cgroups",
    "io.containerd.monitor.task.v1.cgroups",
    "io.containerd.nri.v1.nri",
    "io.containerd.grpc.v1.sandbox-controllers",
    "io.containerd.grpc.v1.healthcheck",
)

# The CRI plugin is there for its image service alone: it gets no CNI configuration, keeps no statistics of
# snapshots (it would walk all of them every ten seconds) and touches no oom_score_adj it may not lower.
_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
imports = []
disabled_plugins = [{disabled}]

[grpc]
  address = "{socket}"

[debug]
  level = "warn"

[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "10s"

[plugins."io.containerd.grpc.v1.cri"]
  stats_collect_period = 86400
  restrict_oom_score_adj = true
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{root}/cni"
  conf_dir = "{root}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{registries}"
"""


class StartError(Exception):
    """containerd is missing, or did not come up."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where Podium's containerd keeps what it has. `state` is gone after a reboot, `root` is not."""

    root: Path
    state: Path

    @property
    def socket(self) -> str:
        return str(self.state / "containerd.sock")

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def log(self) -> Path:
        return self.root / "containerd.log"


class OwnContainerd:
    """Starts containerd, or finds it again."""

    def __init__(
        self, paths: Paths, *, registries: str = REGISTRIES, environment: Mapping[str, str] | None = None
    ) -> None:
        self.paths = paths
        self._registries = registries
        self._environment = dict(environment) if environment is not None else dict(os.environ)
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The process that listens on the socket, None when nobody does."""
        return listener(self.paths.socket)

    async def ensure(self) -> int:
        """Makes sure that it answers; returns its pid. Raises StartError."""
        pid = self.pid()
        if pid is None:
            pid = await asyncio.to_thread(self._spawn)
        await self._ready(pid)
        return pid

    def _spawn(self) -> int:
        binary = shutil.which("containerd")
        if binary is None:
            raise StartError("containerd is not installed")
        self.paths.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.paths.state.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.paths.config.write_text(self._configuration())
        with self.paths.log.open("wb") as out:
            self._child = subprocess.Popen(
                [binary, "--config", str(self.paths.config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=self._environment,
                start_new_session=True,
            )
        return self._child.pid

    def _configuration(self) -> str:
        return _CONFIG.format(
            root=self.paths.root / "data",
            state=self.paths.state / "state",
            socket=self.paths.socket,
            registries=self._registries,
            disabled=", ".join(f'"{name}"' for name in _DISABLED),
        )

    async def _ready(self, pid: int) -> None:
        """Waits until calls are answered, or the process has ended."""
        client = Containerd(self.paths.socket)
        gone = asyncio.ensure_future(wait_for_end(pid))
        answer = asyncio.ensure_future(_first_answer(client))
        try:
            await asyncio.wait((gone, answer), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
                return
            why = "ended" if gone.done() else f"did not answer within {START_TIMEOUT:.0f} s"
            raise StartError(f"containerd {why}: {_tail(self.paths.log)}")
        finally:
            gone.cancel()
            answer.cancel()
            await client.close()

    async def ended(self) -> None:
        """Returns when the containerd that listens on the socket has ended."""
        pid = self.pid()
        if pid is not None:
            await wait_for_end(pid)
        if self._child is not None:
            self._child.poll()

    async def stop(self) -> None:
        """Ends containerd; containers go on. Idempotent."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(wait_for_end(pid), 10)
        except TimeoutError:
            log.warning("containerd (pid %d) does not end; killing it", pid)
            os.kill(pid, signal.SIGKILL)
            await wait_for_end(pid)
        if self._child is not None:
            self._child.poll()


async def _first_answer(client: Containerd) -> None:
    while True:
        try:
            await client.channel.ready()
            await client.version()
            return
        except Unavailable:
            continue
        except ContainerdError as error:
            raise StartError(f"containerd does not work: {error}") from error


def listener(path: str) -> int | None:
    """The pid of the process that listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None


async def wait_for_end(pid: int) -> None:
    """Returns when a process, ours or not, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _tail(path: Path) -> str:
    """The last lines of containerd's log, to say why."""
    try:
        return " | ".join(path.read_text(errors="replace").splitlines()[-3:])
    except OSError:
        return "it wrote no log"
