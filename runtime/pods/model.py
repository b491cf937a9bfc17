"""What is known about a pod on this machine, and what can be done about it. Data only.

An attempt is one container made from a container of the pod's spec. Its life: created, running, exited; never
backwards. The next attempt is a new one with the next number, which is the container's restart count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from podium.api.types import Obj
from podium.runtime.images import Image
from podium.runtime.oci.users import User
from podium.runtime.pods.resize import Resizing

EPOCH = datetime.fromtimestamp(0, UTC)

MIN_GRACE = 2.0
"""Seconds that even a container killed in a hurry gets between its stop signal and SIGKILL."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One container. `backoff` is how many seconds after its end the next attempt must wait. `sandbox` names
    the set of namespaces it lived in: after a reboot there is another one."""

    id: str
    name: str
    number: int
    created_at: datetime
    state: Literal["created", "running", "exited"] = "created"
    backoff: int = 0
    sandbox: str = ""
    spec_hash: str = ""
    image: str = ""
    image_id: str = ""
    stop_signal: str = ""
    user: User | None = None
    resources: Obj | None = None
    """The cpu and memory that it was given last; None when that is not known."""
    again: bool = False
    """It was ended to be made anew with other resources: however it ended, another one follows."""
    pid: int = 0
    started_at: datetime = EPOCH
    finished_at: datetime = EPOCH
    exit_code: int = 0
    reason: str = ""
    message: str = ""

    def running(self, pid: int, at: datetime) -> Attempt:
        return replace(self, state="running", pid=pid, started_at=at)

    def exited(self, code: int, at: datetime, reason: str, message: str = "") -> Attempt:
        return replace(
            self, state="exited", pid=0, finished_at=at, exit_code=code, reason=reason, message=message
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be done, and when to try again. `reason` is a waiting reason where a container
    waits for it. `delay` is the back-off in seconds that led to `retry_at`."""

    reason: str
    message: str
    at: datetime
    retry_at: datetime
    delay: float = 0.0
    image: str = ""
    """What could not be had, by the name that the pod has for it: another one is tried at once."""

    def concerns(self, container: Obj) -> bool:
        return self.image in ("", container.get("image", ""))


@dataclass(slots=True)
class Observed:
    """What is known, kept true by the pod's worker. Keys are container names, or attempts' ids where it says
    so."""

    sandbox: str = ""
    """The sandbox in force: the pod's namespaces exist and its network is connected. "" before and after."""
    ips: tuple[str, ...] = ()
    volumes: bool = False
    images: dict[str, Image] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    """Oldest first, at most the newest two."""
    sandbox_trouble: Trouble | None = None
    volume_trouble: Trouble | None = None
    troubles: dict[str, Trouble] = field(default_factory=dict)
    """Per container: its image cannot be had, or it cannot be made."""
    started: set[str] = field(default_factory=set)
    """Ids whose startup probe has succeeded, or that have none."""
    ready: set[str] = field(default_factory=set)
    doomed: dict[str, str] = field(default_factory=dict)
    """Ids to be killed and restarted, with the reason: "liveness", "startup", "postStart"."""
    busy: set[str] = field(default_factory=set)
    """Keys of actions being carried out."""
    gone: bool = False
    """The API server does not know the pod any more."""
    stopping_since: datetime | None = None
    torn_down: bool = False
    """Nothing of the pod is left on the machine but records of containers, logs and files."""
    cleaned: bool = False
    """Not even those."""
    finished: bool = False
    """The API server was told to forget the pod. Finalizers may still keep it there."""
    failed: tuple[str, str] | None = None
    """(reason, message) with which the node itself ended the pod: DeadlineExceeded, Evicted, ..."""
    hurry: float | None = None
    """Seconds that the node gives the pod to end when it was the node that ended it."""
    disruption: Obj | None = None
    """The condition that tells why."""
    resizing: Resizing = field(default_factory=Resizing)

    def latest(self, name: str) -> Attempt | None:
        attempts = self.attempts.get(name)
        return attempts[-1] if attempts else None

    def find(self, container_id: str) -> Attempt | None:
        everyone = (each for attempts in self.attempts.values() for each in attempts)
        return next((each for each in everyone if each.id == container_id), None)

    def put(self, attempt: Attempt) -> None:
        """Adds an attempt or replaces what was known about it."""
        attempts = self.attempts.setdefault(attempt.name, [])
        for place, known in enumerate(attempts):
            if known.id == attempt.id:
                attempts[place] = attempt
                return
        attempts.append(attempt)
        attempts.sort(key=lambda each: each.number)

    def alive(self) -> list[Attempt]:
        """Attempts that have a process."""
        return [each for attempts in self.attempts.values() for each in attempts if each.state != "exited"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done. No two with the same key at once."""

    @property
    def key(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SetUpSandbox(Action):
    """Namespaces, the pod's files, its network."""

    @property
    def key(self) -> str:
        return "sandbox"


@dataclass(frozen=True, slots=True)
class MountVolumes(Action):
    @property
    def key(self) -> str:
        return "volumes"


@dataclass(frozen=True, slots=True)
class EnsureImage(Action):
    """Finds or pulls the image of a container."""

    name: str
    pull: bool

    @property
    def key(self) -> str:
        return f"image/{self.name}"


@dataclass(frozen=True, slots=True)
class StartContainer(Action):
    name: str
    number: int
    backoff: int

    @property
    def key(self) -> str:
        return f"container/{self.name}"


@dataclass(frozen=True, slots=True)
class KillContainer(Action):
    """Hook, stop signal, and SIGKILL after `grace` seconds from `since`. Decided again with less grace, it
    hastens."""

    id: str
    name: str
    grace: float
    since: datetime
    message: str

    @property
    def key(self) -> str:
        return f"kill/{self.id}"


@dataclass(frozen=True, slots=True)
class Resize(Action):
    """Gives the pod and its running containers what they were promised."""

    @property
    def key(self) -> str:
        return "resize"


@dataclass(frozen=True, slots=True)
class BeginAnew(Action):
    """All containers have ended, to begin again where they were."""

    @property
    def key(self) -> str:
        return "anew"


@dataclass(frozen=True, slots=True)
class RemoveContainer(Action):
    """An exited container's record, root file system and log."""

    id: str
    name: str

    @property
    def key(self) -> str:
        return f"remove/{self.id}"


@dataclass(frozen=True, slots=True)
class TearDown(Action):
    """Volumes, network, namespaces and control groups."""

    @property
    def key(self) -> str:
        return "teardown"


@dataclass(frozen=True, slots=True)
class Finish(Action):
    """Tells the API server that the pod may go: deletes it for good."""

    @property
    def key(self) -> str:
        return "finish"


@dataclass(frozen=True, slots=True)
class CleanUp(Action):
    """Containers' records and root file systems, logs and files, of a pod that nobody asks for any more."""

    @property
    def key(self) -> str:
        return "cleanup"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again even if nothing happens (None: only when something happens).
    `failed` is set when the node ends the pod."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
    failed: tuple[str, str] | None = None
