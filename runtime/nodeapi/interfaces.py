"""What the node API asks of the daemon. The pods that run here are `podium.runtime.interfaces.NodePods`,
their output is `podium.runtime.logs.Outputs`, their processes are containerd's
(`podium.runtime.containerd.client.Containerd`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from podium.api.types import Obj
from podium.client.base import Client
from podium.runtime.cgroups import Cgroups
from podium.runtime.containerd.client import Containerd
from podium.runtime.interfaces import NodePods
from podium.runtime.logs import Outputs
from podium.runtime.meters import NodeMeters

Check = Callable[[], str]
"""Why something is not well; "" when it is."""


@dataclass(frozen=True)
class NodeApiConfig:
    """Where the node API listens and whom it trusts. Files are PEM. `run_dir` is for the FIFOs of execs.
    `data_dir` and `image_dir` are on the disks that statistics tell of; `settings` is what /configz shows."""

    node_name: str
    host: str
    certificate: str
    key: str
    client_ca: str
    port: int = 10250
    run_dir: str = "/run/podium/exec"
    data_dir: str = ""
    image_dir: str = ""
    version: str = ""
    settings: Obj = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """Everything a handler may need of the daemon."""

    config: NodeApiConfig
    pods: NodePods
    outputs: Outputs
    containerd: Containerd
    cgroups: Cgroups
    volumes: Callable[[Obj], Awaitable[list[Obj]]] | None = None
    """What a pod's volumes hold (`runtime.interfaces.PodVolumes.stats`)."""
    client: Client | None = None
    """Who says who the others are that come, and what they may."""
    meters: NodeMeters = field(default_factory=NodeMeters)
    checks: Mapping[str, Check] = field(default_factory=dict)
    """What /healthz asks, by name."""


class Stdin(NamedTuple):
    """Input from the client; b"" when the client has closed its input and only listens from now on."""

    data: bytes


class Resize(NamedTuple):
    """The client's terminal has this size now, in characters."""

    width: int
    height: int


class Session(Protocol):
    """One client of exec or attach, whatever the wire protocol. Both directions push back: `receive` is
    called when there is room for input, `send` returns when the connection has taken the data."""

    async def greet(self) -> None:
        """The client is served from now on. Raises ConnectionError when it is gone."""
        ...

    async def receive(self) -> Stdin | Resize | None:
        """None when the client is gone."""
        ...

    async def send(self, stream: str, data: bytes) -> None:
        """`stream` is stdout or stderr; what the client did not ask for is dropped. Raises ConnectionError
        when the client is gone."""
        ...

    async def finish(self, status: dict[str, Any]) -> None:
        """Tell the outcome (a metav1.Status) and close."""
        ...
