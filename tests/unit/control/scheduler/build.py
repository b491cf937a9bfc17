"""Pods and nodes for the scheduler's tests."""

from __future__ import annotations

from typing import Any

from podium.control.scheduler.needs import Needs, cost_of, needs_of
from podium.control.scheduler.picture import Picture


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


def pod(name: str, *, requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [container(requests=requests)])
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def needs(name: str = "p", **spec: Any) -> Needs:
    return needs_of(pod(name, **spec))


def picture(*nodes: dict[str, Any]) -> Picture:
    result = Picture()
    for entry in nodes:
        result.set_node(entry)
    return result


def place(on: Picture, name: str, where: str, **spec: Any) -> None:
    made = pod(name, **spec)
    on.place(made["metadata"]["uid"], where, cost_of(made["spec"]))
