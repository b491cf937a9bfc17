"""What the node daemon asks of its neighbours, and what its own parts ask of each other: small protocols, so
that each part can be built, replaced and tested alone. `netd`, `storage` and the node API implement or use
these without importing one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from podium.api.types import Obj


class MountedVolume(Protocol):
    """One volume, ready on this machine. `path` is the directory, file or block device that containers get;
    `mapped` tells that its files already belong to whom a pod with users of its own has."""

    @property
    def path(self) -> str: ...

    @property
    def read_only(self) -> bool: ...

    @property
    def kind(self) -> Literal["dir", "file", "block"]: ...

    @property
    def mapped(self) -> bool: ...


class PodNetwork(Protocol):
    """Connects pods. A pod's network namespace is pinned at `netns` (RUN_DIR/netns/UID); pods on the host's
    network are never asked for."""

    async def setup(self, pod: Obj, netns: str) -> list[str]:
        """Creates and pins the namespace if missing, connects it and returns the pod's addresses, the primary
        one first. Idempotent, and restartable at any step."""
        ...

    async def withdrawn(self, uid: str) -> None:
        """Waits until Services send no new connection to a pod that is being deleted; a short while at
        most."""
        ...

    async def teardown(self, uid: str, netns: str) -> None:
        """Releases the addresses, removes links and the pinned namespace. Idempotent."""
        ...

    async def known(self) -> dict[str, list[str]]:
        """Addresses of what is set up on this machine, by pod uid: the truth that is read back after a
        restart."""
        ...


class PodVolumes(Protocol):
    """Mounts pods' volumes. A volume that cannot be mounted yet raises
    `podium.storage.errors.VolumeError`."""

    async def mount(self, pod: Obj) -> Mapping[str, MountedVolume]:
        """Every volume of the pod by its name. Idempotent; the caller retries."""
        ...

    async def subpath(
        self, uid: str, volume: str, path: str, subpath: str, *, container: str, index: int
    ) -> str:
        """Where a container finds a part of the mounted volume at `path`, safe from whoever writes to the
        volume. `index` is the place of the mount among the container's. Idempotent; gone with `unmount`."""
        ...

    async def unmount(self, uid: str, *, keep: bool = False) -> None:
        """Unmounts and removes what belongs to the pod alone. Idempotent. With `keep` the pod will go on
        after the machine has been off: what lies on the disk stays."""
        ...

    async def release_unused(self) -> None:
        """Lets go of what no pod uses, whatever a crash left. Idempotent."""
        ...

    async def stats(self, pod: Obj) -> list[Obj]:
        """What the pod's mounted volumes hold, as the Summary's `volume` lists it."""
        ...

    async def in_use(self) -> list[str]:
        """What a Node's `status.volumesInUse` names."""
        ...

    def on_change(self, retry: Callable[[str], None], used: Callable[[], None]) -> None:
        """`retry` is called with the uid of a pod whose volumes could not be mounted, and perhaps can be
        now; `used` when `in_use` has changed."""
        ...

    async def known(self) -> set[str]:
        """Uids of pods with volumes on this machine."""
        ...


class ContainerLogs(Protocol):
    """Moves what containers print from their FIFOs into files in the CRI log format (`podium.runtime.logs`).

    The shim keeps the FIFOs open too, so that closing and reopening loses nothing; the writer blocks while
    nobody reads."""

    async def open(
        self, container_id: str, log_path: str, *, stdout: str, stderr: str, terminal: bool = False
    ) -> None:
        """Starts to move one container's output. Called before the task is created (the FIFOs exist), and
        again for every container that still has a task after the daemon was restarted. Idempotent. Parent
        directories of `log_path` exist. With a terminal there is no stderr."""
        ...

    async def close(self, container_id: str) -> None:
        """Called when the container has exited: moves what is still in the FIFOs to the file, then lets go.
        Idempotent."""
        ...


class ImageReclaim(Protocol):
    """Makes room on the disk that images lie on."""

    async def remove_unused(self) -> int:
        """Removes the images that no pod has or wants and that did not come just now; how many. Raises
        ContainerdError."""
        ...


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container as the node API needs it. `id` is containerd's; `log_path` is the current log file, whose
    rotated parts lie beside it. `stdin` is the FIFO of a container with `stdin: true`, "" for others."""

    name: str
    id: str
    attempt: int
    state: Literal["created", "running", "exited"]
    log_path: str
    terminal: bool = False
    stdin: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod on this node. `containers` holds each container's attempts, the newest last. `netns` is "" on
    the host's network."""

    pod: Obj
    netns: str
    containers: Mapping[str, Sequence[ContainerView]] = field(default_factory=dict)

    def container(self, name: str, *, previous: bool = False) -> ContainerView | None:
        """The newest attempt of a container, or the one before it."""
        attempts = self.containers.get(name) or ()
        at = 2 if previous else 1
        return attempts[-at] if len(attempts) >= at else None


class NodePods(Protocol):
    """What the node API may know about the pods that run here (`podium.runtime.pods.manager.PodManager`)."""

    def view(self, namespace: str, name: str, uid: str = "") -> PodView | None: ...

    def views(self) -> list[PodView]: ...
