"""A pod as `kubectl get pods` shows it. Source: Kubernetes' pod printer, the STATUS column of which is pieced
together from the phase, the conditions and the containers' states."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from podium.api.groups import cells
from podium.api.types import Obj

COLUMNS = cells.table(
    "Name", "Ready", "Status", "Restarts", "Age", "IP:string:1", "Node:string:1", "Nominated Node:string:1",
    "Readiness Gates:string:1",
)  # fmt: skip


class _Summary(NamedTuple):
    """`last` is the end of the latest container that was restarted, "" when none was. RFC 3339 sorts as
    text."""

    reason: str
    ready: int
    restarts: int
    last: str


def row(pod: Obj, now: datetime) -> list[Any]:
    spec, status = pod["spec"], pod.get("status") or {}
    sidecars = {entry.get("name") for entry in spec.get("initContainers") or () if _restarts_always(entry)}
    summary = _summary(spec, status, sidecars)
    total = len(spec.get("containers") or ()) + len(sidecars)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last:
        restarts = f"{summary.restarts} ({cells.since(summary.last, now)} ago)"
    addresses = status.get("podIPs") or ()
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{total}",
        _deletion(pod) or summary.reason,
        restarts,
        cells.age(pod, now),
        (addresses[0].get("ip") if addresses else "") or cells.NONE,
        spec.get("nodeName") or cells.NONE,
        status.get("nominatedNodeName") or cells.NONE,
        _gates(spec, status),
    ]


def conditions(pod: Obj) -> list[Obj]:
    """The row's conditions: that a pod is done."""
    phase = (pod.get("status") or {}).get("phase")
    if phase not in ("Succeeded", "Failed"):
        return []
    message = "The pod failed." if phase == "Failed" else "The pod has completed successfully."
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}]


def _restarts_always(container: Obj) -> bool:
    return container.get("restartPolicy") == "Always"


def _summary(spec: Obj, status: Obj, sidecars: set[str | None]) -> _Summary:
    reason = status.get("reason") or status.get("phase") or ""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    stuck, init, kept = _init(spec, status, sidecars)
    if stuck and not _true(status, "Initialized"):
        return init._replace(reason=stuck)
    return _main(status, kept._replace(reason=stuck or reason, ready=init.ready))


def _init(spec: Obj, status: Obj, sidecars: set[str | None]) -> tuple[str, _Summary, _Summary]:
    """What initialisation waits for ("" when it is over), the restarts so far of all init containers, and
    those of the sidecars alone, which go on counting afterwards."""
    everyone = alone = _Summary("", 0, 0, "")
    total = len(spec.get("initContainers") or ())
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        everyone = _count(everyone, container)
        sidecar = container.get("name") in sidecars
        if sidecar:
            alone = _count(alone, container)
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if sidecar and container.get("started"):
            everyone = everyone._replace(ready=everyone.ready + bool(container.get("ready")))
            continue
        return _init_reason(container, index, total), everyone, alone
    return "", everyone, alone


def _init_reason(container: Obj, index: int, total: int) -> str:
    state = container.get("state") or {}
    if (terminated := state.get("terminated")) is not None:
        return f"Init:{_exit(terminated)}"
    waiting = (state.get("waiting") or {}).get("reason", "")
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _exit(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _count(so_far: _Summary, container: Obj) -> _Summary:
    ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
    return so_far._replace(
        restarts=so_far.restarts + container.get("restartCount", 0), last=max(so_far.last, ended)
    )


def _main(status: Obj, summary: _Summary) -> _Summary:
    running, failure, reason, ready = False, "", summary.reason, summary.ready
    for container in reversed(status.get("containerStatuses") or ()):
        summary = _count(summary, container)
        state = container.get("state") or {}
        if waiting := (state.get("waiting") or {}).get("reason"):
            reason = waiting
        elif (terminated := state.get("terminated")) is not None:
            reason = _exit(terminated)
            if terminated.get("exitCode", 0) != 0:
                failure = reason
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and _true(status, "Ready"):
            reason = "Running"
        elif failure:
            reason = failure
        elif running:
            reason = "NotReady"
    return summary._replace(reason=reason, ready=ready)


def _true(status: Obj, kind: str) -> bool:
    return any(
        entry.get("type") == kind and entry.get("status") == "True"
        for entry in status.get("conditions") or ()
    )


def _deletion(pod: Obj) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return ""
    status = pod.get("status") or {}
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _gates(spec: Obj, status: Obj) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return cells.NONE
    return f"{sum(_true(status, gate.get('conditionType', '')) for gate in gates)}/{len(gates)}"


TEMPLATE_COLUMNS = cells.table("Name", "Containers", "Images", "Pod Labels")


def template_row(obj: Obj) -> list[Any]:
    template = obj.get("template") or {}
    labels = cells.labels((template.get("metadata") or {}).get("labels"))
    return [obj["metadata"]["name"], *cells.containers(template), labels]
