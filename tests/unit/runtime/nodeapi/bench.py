"""What the tests of the node API share: containers without a pod machinery, and a client's side of the
channel protocol."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from podium.api.types import Obj
from podium.runtime.interfaces import ContainerView, PodView
from podium.runtime.logs import FifoSet
from podium.runtime.nodeapi import Node
from podium.runtime.protos.types_pb2 import Mount


class Pods:
    """The pods of the node, put there by tests."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], PodView] = {}

    def view(self, namespace: str, name: str, uid: str = "") -> PodView | None:
        found = self.known.get((namespace, name))
        return found if found and uid in ("", found.pod["metadata"]["uid"]) else None

    def views(self) -> list[PodView]:
        return list(self.known.values())


def pod(name: str, container: Obj, **status: Any) -> Obj:
    return {
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}"},
        "spec": {"containers": [container]},
        "status": status,
    }


def oci_spec(command: Sequence[str], *, terminal: bool, cgroup: str) -> Obj:
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(command),
            "env": ["PATH=/bin", "GREETING=hello"],
            "cwd": "/",
            "terminal": terminal,
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["newinstance", "ptmxmode=0666"],
            },
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "cgroupsPath": cgroup,
        },
    }  # fmt: skip


class Shell:
    """A client of exec or attach. Collects what comes by channel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: dict[int, bytearray] = {}
        self.closed = False

    async def __aenter__(self) -> Shell:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def stdin(self, data: bytes) -> None:
        await self.socket.send_bytes(b"\x00" + data)

    async def close_stdin(self) -> None:
        await self.socket.send_bytes(b"\xff\x00")

    async def resize(self, width: int, height: int) -> None:
        await self.socket.send_bytes(b"\x04" + json.dumps({"Width": width, "Height": height}).encode())

    async def next(self) -> bool:
        """One more message; False when the server has closed."""
        message = await self.socket.receive(timeout=20)
        if message.type is not aiohttp.WSMsgType.BINARY:
            self.closed = True
            return False
        channel = message.data[0]
        self.received.setdefault(channel, bytearray()).extend(message.data[1:])
        return True

    async def until(self, text: bytes, channel: int = 1) -> None:
        while text not in self.received.get(channel, b""):
            assert await self.next(), self.received

    async def outcome(self) -> Obj:
        """Everything to the end, and the Status."""
        while await self.next():
            pass
        status: Obj = json.loads(self.received.get(3, b"{}"))
        return status

    @property
    def out(self) -> bytes:
        return bytes(self.received.get(1, b""))

    @property
    def err(self) -> bytes:
        return bytes(self.received.get(2, b""))


@dataclass
class Bench:
    node: Node
    client: aiohttp.ClientSession
    url: str
    rootfs: Path
    directory: Path
    started: list[str] = field(default_factory=list)

    @property
    def pods(self) -> Pods:
        assert isinstance(self.node.pods, Pods)
        return self.node.pods

    async def start(
        self, name: str, *command: str, tty: bool = False, stdin: bool = False, **spec: Any
    ) -> str:
        """A pod `name` with a running container `c`; its id."""
        id = secrets.token_hex(8)
        described = pod(name, {"name": "c", "tty": tty, "stdin": stdin, **spec})
        fifos = FifoSet.within(str(self.directory / id / "io"), stdin=stdin, tty=tty)
        fifos.make()
        log = str(self.directory / id / "log" / "0.log")
        cgroup = self.node.cgroups.container(described, id)
        containerd = self.node.containerd
        await containerd.containers.create(
            id,
            image="",
            spec=oci_spec(command, terminal=tty, cgroup=cgroup),
            snapshotter="",
            snapshot="",
            labels={},
        )
        self.started.append(id)
        await self.node.outputs.open(id, log, stdout=fifos.stdout, stderr=fifos.stderr, terminal=tty)
        pid = await containerd.tasks.create(
            id,
            rootfs=[Mount(type="bind", source=str(self.rootfs), options=["rbind", "rw"])],
            stdin=fifos.stdin,
            stdout=fifos.stdout,
            stderr=fifos.stderr,
            terminal=tty,
        )
        await containerd.tasks.start(id)
        view = ContainerView("c", id, 0, "running", log, tty, fifos.stdin, pid)
        self.pods.known["default", name] = PodView(described, "/netns", {"c": [view]})
        return id

    async def end(self, id: str) -> None:
        """Wait for a container's exit and let go of it, as the daemon would."""
        tasks = self.node.containerd.tasks
        await tasks.wait(id)
        await self.node.outputs.close(id)
        await tasks.delete(id)

    async def shell(
        self, kind: str, name: str, *command: str, protocol: str = "v5.channel.k8s.io", **query: str
    ) -> Shell:
        """An upgraded connection to `exec` or `attach`."""
        wanted = query or {"input": "1", "output": "1", "error": "1"}
        parameters = [*wanted.items(), *(("command", each) for each in command)]
        socket = await self.client.ws_connect(
            f"/{kind}/default/{name}/c", params=parameters, protocols=(protocol,), max_msg_size=0
        )
        assert socket.protocol == protocol
        return Shell(socket)

    async def clean(self) -> None:
        containerd = self.node.containerd
        for id in self.started:
            if await containerd.tasks.kill(id, signal.SIGKILL, everyone=True):
                await containerd.tasks.wait(id)
            await self.node.outputs.close(id)
            await containerd.tasks.delete(id)
            await containerd.containers.delete(id)
        for view in self.pods.views():
            self.node.cgroups.remove(view.pod["metadata"]["uid"])
