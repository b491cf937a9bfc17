"""The resize of a pod that runs: what is to be changed, in which order, and what is told about it. Pure.

Source: KEP-1287, KEP-5419.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from podium.api.types import Obj, meta
from podium.api.types.requests import is_pod_level, pod_limits, pod_requests
from podium.runtime.oci.resources import effective, pod_resources
from podium.runtime.pods.allocation import Sizes, sizes

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
CONDITIONS = (PENDING, IN_PROGRESS)
DEFERRED, ERROR = "Deferred", "Error"


@dataclass(frozen=True, slots=True)
class Note:
    """One condition. It is dated anew when its reason changes."""

    at: str
    generation: int
    reason: str = ""
    message: str = ""

    def condition(self, kind: str) -> Obj:
        made: Obj = {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": self.at}
        if self.reason:
            made["reason"] = self.reason
        if self.message:
            made["message"] = self.message
        return {**made, "observedGeneration": self.generation} if self.generation else made


@dataclass(slots=True)
class Resizing:
    """How a pod's resize stands. `whole`: the limits of the pod as a whole may not be as promised yet.
    `settled` are the pod's own resources as they are in force meanwhile."""

    pending: Note | None = None
    progress: Note | None = None
    whole: bool = False
    settled: Obj | None = None
    retry_at: datetime | None = None

    def conditions(self) -> list[Obj]:
        notes = ((PENDING, self.pending), (IN_PROGRESS, self.progress))
        return [note.condition(kind) for kind, note in notes if note is not None]

    def defer(self, message: str, generation: int, now: datetime) -> bool:
        """Notes why a resize has to wait; whether that is news."""
        before = self.pending
        at = before.at if before and before.reason == DEFERRED else meta.timestamp(now)
        self.pending = Note(at, generation, DEFERRED, message)
        return before is None or before.generation != generation

    def begin(self, generation: int, settled: Obj | None, now: datetime) -> None:
        """The resize was taken."""
        self.pending, self.progress = None, Note(meta.timestamp(now), generation)
        self.whole, self.retry_at = True, None
        self.settled = settled

    def end(self) -> Note | None:
        """Everything is as promised: what is known of the resize goes. Returns its note, if it had one."""
        done, self.progress = self.progress, None
        self.whole, self.settled, self.retry_at = False, None, None
        return done

    def fail(self, message: str, generation: int, now: datetime) -> bool:
        """Notes why it cannot be done now; whether that is news."""
        before = self.progress
        at = before.at if before and before.reason == ERROR else meta.timestamp(now)
        self.progress = Note(at, before.generation if before else generation, ERROR, message)
        return before is None or (before.reason, before.message) != (ERROR, message)


def backfilled(pod: Obj) -> Resizing:
    """How it stood when the API server was told last, for a daemon that has just started."""
    made = Resizing()
    for each in (pod.get("status") or {}).get("conditions") or ():
        if each["type"] not in CONDITIONS or each.get("status") != "True":
            continue
        note = Note(
            each.get("lastTransitionTime") or "",
            each.get("observedGeneration", 0),
            each.get("reason", ""),
            each.get("message", ""),
        )
        if each["type"] == PENDING:
            made.pending = note
        else:
            made.progress, made.whole = note, True
    return made


def _restarting(container: Obj) -> set[str]:
    """The resources that a container can only be given anew by restarting it."""
    policies = container.get("resizePolicy") or ()
    return {each["resourceName"] for each in policies if each.get("restartPolicy") == "RestartContainer"}


def needs_restart(pod: Obj, container: Obj, resources: Obj | None) -> bool:
    """Whether a container that runs with `resources` has to be restarted to get what it was promised."""
    if resources is None:
        return False
    has, wanted = sizes(resources), sizes(effective(pod, container))
    if has == wanted:
        return False
    restarting = _restarting(container)
    cpu = (has.cpu_request, has.cpu_limit) != (wanted.cpu_request, wanted.cpu_limit)
    memory = (has.memory_request, has.memory_limit) != (wanted.memory_request, wanted.memory_limit)
    return (cpu and "cpu" in restarting) or (memory and "memory" in restarting)


@dataclass(frozen=True, slots=True)
class Change:
    """One container that is to go from `old` to `new`."""

    name: str
    id: str
    old: Sizes
    new: Sizes

    def at(self, resource: str) -> tuple[int, int]:
        """(before, after) of what its place in the order goes by: the limit, or where that stays the
        request."""
        pairs = {
            "memory": ((self.old.memory_limit, self.new.memory_limit),
                       (self.old.memory_request, self.new.memory_request)),
            "cpu": ((self.old.cpu_limit, self.new.cpu_limit), (self.old.cpu_request, self.new.cpu_request)),
        }[resource]  # fmt: skip
        return next(((before, after) for before, after in pairs if before != after), (0, 0))


def in_order(changes: Sequence[Change], resource: str) -> list[Change]:
    """Those that change in a resource: who gives comes before who takes."""
    moving = [change for change in changes if change.at(resource)[0] != change.at(resource)[1]]
    return sorted(moving, key=lambda change: change.at(resource)[1] > change.at(resource)[0])


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes: of the pod its limit `before` (-1 for none) and `after` (None when it has none), and
    what is `used`: of the pod under "", else by container."""

    before: int
    after: int | None
    used: Mapping[str, int] = field(default_factory=dict)


def below_usage(changes: Sequence[Change], memory: Memory) -> str:
    """Why limits cannot be lowered, "" when they can."""
    faults = []
    lowered = memory.after is not None and (memory.before < 0 or memory.after < memory.before)
    if lowered and memory.after is not None and memory.used.get("", 0) >= memory.after:
        faults.append(
            f"attempting to set pod memory limit ({memory.after}) below current usage ({memory.used['']})"
        )
    for change in changes:
        limit, had = change.new.memory_limit, change.old.memory_limit
        if limit and (not had or limit < had) and memory.used.get(change.name, 0) >= limit:
            faults.append(
                f'attempting to set container "{change.name}" memory limit ({limit}) below current usage '
                f"({memory.used[change.name]})"
            )
    if not faults:
        return ""
    text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
    return f"cannot decrease memory limits: {text}"


def told_resources(container: Obj, running: Obj | None) -> Obj:
    """A container's `status.resources`: what it was promised, with what it really has where it runs."""
    promised: Obj = container.get("resources") or {}
    if running is None:
        return promised
    made = dict(promised)
    for key in ("limits", "requests"):
        if promised.get(key) is None:
            continue
        has = {name: text for name, text in (running.get(key) or {}).items() if name in ("cpu", "memory")}
        made[key] = {
            **{name: text for name, text in promised[key].items() if name not in ("cpu", "memory")},
            **has,
        }
    return made


def whole_pod(pod: Obj, settled: Obj | None, *, running: bool) -> Obj:
    """`status.resources` and `status.allocatedResources` of the pod as a whole. What runs tells what it is
    held to."""
    spec = pod["spec"]
    shown = pod if settled is None else {**pod, "spec": {**spec, "resources": settled}}
    requests, limits = pod_requests(shown["spec"]), pod_limits(shown["spec"])
    if running:
        held = pod_resources(shown)
        kept = {"cpu": "quota" in held, "memory": "memory" in held}
        own = (shown["spec"].get("resources") or {}).get("limits") or {}
        limits = {name: amount for name, amount in limits.items() if kept.get(name, name in own)}
        requests = {name: amount for name, amount in requests.items() if is_pod_level(name)}
    texts = (
        ("requests", _texts(requests, shown["spec"], "requests")),
        ("limits", _texts(limits, shown["spec"], "limits")),
    )
    made: Obj = {"resources": {key: each for key, each in texts if each}}
    if allocated := _texts(pod_requests(spec), spec, "requests"):
        made["allocatedResources"] = allocated
    return made


def _texts(amounts: Mapping[str, int], spec: Obj, key: str) -> dict[str, str]:
    """What the pod asks for as a whole is told in its own words, unless there is overhead on top."""
    said = (spec.get("resources") or {}).get(key) or {}
    more = spec.get("overhead") or {}
    return {
        name: said[name] if name in said and name not in more else _text(name, amount)
        for name, amount in sorted(amounts.items())
    }


def _text(name: str, amount: int) -> str:
    if name == "cpu":
        return f"{amount}m" if amount % 1000 else str(amount // 1000)
    if name in ("memory", "ephemeral-storage") or name.startswith("hugepages-"):
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if amount and amount % size == 0:
                return f"{amount // size}{unit}"
    return str(amount)


def updated(old: Obj, new: Obj, resource: str) -> Obj:
    """ResourceRequirements with one resource as in `new`."""
    made: Obj = {}
    for key in ("limits", "requests"):
        kept = {name: text for name, text in (old.get(key) or {}).items() if name != resource}
        if resource in (new.get(key) or {}):
            kept[resource] = new[key][resource]
        if kept:
            made[key] = kept
    return made


def changes(pod: Obj, running: Iterator[tuple[Obj, str, Obj | None]]) -> list[Change]:
    """What differs of (container, id, resources in force) from what was promised, restarts left out."""
    found = []
    for container, container_id, resources in running:
        if resources is None or needs_restart(pod, container, resources):
            continue
        old, new = sizes(resources), sizes(effective(pod, container))
        if old != new:
            found.append(Change(container["name"], container_id, old, new))
    return found
