"""Pods and nodes for the scheduler's tests."""

from __future__ import annotations

from typing import Any

from podium.control.scheduler.decide import Decider, Rejection
from podium.control.scheduler.needs import Needs, needs_of, placed_of
from podium.control.scheduler.picture import Picture
from podium.control.scheduler.preempt import Candidate, preempt
from podium.control.scheduler.profiles import Profile


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> dict[str, Any]:
    spec = {key: more[key] for key in ("taints", "unschedulable") if key in more}
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more.get("extra", {})}
    labels = {"kubernetes.io/hostname": name, **more.get("labels", {})}
    meta = {
        "name": name,
        "labels": labels,
        "uid": f"node-{name}",
        "creationTimestamp": "2024-01-01T00:00:00Z",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta,
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def container(name: str = "c", *, requests: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", **({"resources": {"requests": requests}} if requests else {}), **more}


def pod(
    name: str,
    *,
    requests: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    namespace: str = "default",
    **spec: Any,
) -> dict[str, Any]:
    spec.setdefault("containers", [container(requests=requests)])
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def needs(name: str = "p", **spec: Any) -> Needs:
    return needs_of(pod(name, **spec))


def picture(*nodes: dict[str, Any]) -> Picture:
    result = Picture()
    for entry in nodes:
        result.set_node(entry)
    return result


def place(on: Picture, name: str, where: str, **spec: Any) -> None:
    on.place(placed_of(pod(name, **spec)), where)


def decide(wanted: Needs, on: Picture, profile: Profile | None = None) -> str | Rejection:
    """The node that is chosen, or the rejection."""
    decision = Decider(on, profile).decide(wanted)
    return decision if isinstance(decision, Rejection) else decision.node


def explain(wanted: Needs, on: Picture) -> str:
    """The message of the event, for a pod that finds no node."""
    decider = Decider(on)
    rejection = decider.decide(wanted)
    assert isinstance(rejection, Rejection)
    found = preempt(wanted, rejection, decider, on, lambda: ())
    assert not isinstance(found, Candidate)
    return f"{rejection.message} preemption: {found}"
