"""The conditions of a pod that the node writes. Source: the kubelet's status/generate.go, for when and in
which words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from podium.api.types import Obj
from podium.runtime.pods import rules
from podium.runtime.pods.resize import CONDITIONS as PASSING

ANEW = "AllContainersRestarting"
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", ANEW)

_TERMINAL_REASONS = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}


def conditions(
    pod: Obj,
    statuses: Mapping[str, Obj],
    *,
    phase: str,
    sandbox: bool,
    old: Sequence[Obj],
    untold: Sequence[Obj] = (),
    now: str,
    passing: Sequence[Obj] = (),
    anew: bool | None = None,
) -> list[Obj]:
    """All conditions: those of others as they are, then ours. A transition time changes only with the
    status; of a change in `untold`, which the API server has not heard of yet, it is known already.
    `passing` are those that come with a resize and go with it."""
    kept = [each for each in old if each["type"] not in (*OWNED, *PASSING)]
    containers_ready = _containers_ready(pod, statuses, phase)
    made = [
        {"type": "PodReadyToStartContainers", "status": "True" if sandbox else "False"},
        {"type": "Initialized", **_initialized(pod, statuses, phase, old)},
        {"type": "Ready", **_ready(pod, containers_ready, kept)},
        {"type": "ContainersReady", **containers_ready},
        {"type": "PodScheduled", "status": "True"},
    ]
    if anew is not None:
        made.append({"type": ANEW, **_restarting(phase, anew)})
    generation = pod["metadata"].get("generation", 0)
    told, known = ({each["type"]: each for each in those} for those in (old, untold))
    kept = [each for each in kept if each["type"] not in {one["type"] for one in passing}]
    dated = (
        _dated(each, (told.get(each["type"]), known.get(each["type"])), generation, now) for each in made
    )
    return [*kept, *passing, *dated]


def _restarting(phase: str, anew: bool) -> Obj:
    if phase in _TERMINAL_REASONS:
        return {"status": "False", "reason": _TERMINAL_REASONS[phase]}
    if not anew:
        return {"status": "False"}
    message = "container exited with restart policy rule"
    return {"status": "True", "reason": "RestartAllContainersStarted", "message": message}


def _dated(condition: Obj, before: Iterable[Obj | None], generation: int, now: str) -> Obj:
    status = condition["status"]
    since = (
        each["lastTransitionTime"] for each in before if each is not None and each.get("status") == status
    )
    made = {**condition, "lastProbeTime": None, "lastTransitionTime": next(since, now)}
    if generation:
        made["observedGeneration"] = generation
    return made


def _containers_ready(pod: Obj, statuses: Mapping[str, Obj], phase: str) -> Obj:
    if phase in _TERMINAL_REASONS:
        return {"status": "False", "reason": _TERMINAL_REASONS[phase]}
    counted = [each["name"] for each in rules.init_containers(pod) if rules.is_sidecar(each)]
    counted += [each["name"] for each in rules.app_containers(pod)]
    unknown = [name for name in counted if name not in statuses]
    unready = [name for name in counted if name in statuses and not statuses[name].get("ready")]
    return _verdict(unknown, unready, "unready", "ContainersNotReady")


def _verdict(unknown: list[str], lacking: list[str], word: str, reason: str) -> Obj:
    messages = []
    if unknown:
        messages.append(f"containers with unknown status: {_listed(unknown)}")
    if lacking:
        messages.append(f"containers with {word} status: {_listed(lacking)}")
    if messages:
        return {"status": "False", "reason": reason, "message": ", ".join(messages)}
    return {"status": "True"}


def _listed(names: Iterable[str]) -> str:
    """As Go prints a slice."""
    return f"[{' '.join(names)}]"


def _ready(pod: Obj, containers_ready: Obj, others: Sequence[Obj]) -> Obj:
    if containers_ready["status"] != "True":
        return containers_ready
    known = {each["type"]: each for each in others}
    messages = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in known:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif known[kind]["status"] != "True":
            status = known[kind]["status"]
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {status}')
    if messages:
        return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(messages)}
    return {"status": "True"}


def _initialized(pod: Obj, statuses: Mapping[str, Obj], phase: str, old: Sequence[Obj]) -> Obj:
    """What is initialized stays so, also while all containers begin again."""
    init = rules.init_containers(pod)
    unknown = [each["name"] for each in init if each["name"] not in statuses]
    if phase == "Succeeded" and not unknown:
        return {"status": "True", "reason": "PodCompleted"}
    if any(_has_started(statuses.get(each["name"])) for each in rules.app_containers(pod)):
        return {"status": "True"}
    incomplete = [
        each["name"]
        for each in init
        if each["name"] in statuses
        and not statuses[each["name"]].get("started" if rules.is_sidecar(each) else "ready")
    ]
    if incomplete and any(each["type"] == "Initialized" and each["status"] == "True" for each in old):
        return {"status": "True"}
    return _verdict(unknown, incomplete, "incomplete", "ContainersNotInitialized")


def _has_started(status: Obj | None) -> bool:
    """Whether a container runs, has run, or has been running."""
    if status is None:
        return False
    state, last = status.get("state") or {}, status.get("lastState") or {}
    return bool(status.get("started")) or "running" in state or "terminated" in state or "terminated" in last
