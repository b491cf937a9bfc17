"""Short forms of nodes and pods."""

from __future__ import annotations

import itertools
from typing import Any

from podium.api.types import Obj
from podium.control.nodescaling.provider import Template

_numbers = itertools.count()


def node(name: str, cpu: str = "4", **more: Any) -> Obj:
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    meta = {"name": name, "uid": f"uid-{name}", "labels": {"kubernetes.io/hostname": name}}
    return {
        "metadata": {**meta, **more.pop("metadata", {})},
        "spec": more,
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod(
    name: str = "",
    cpu: str = "1",
    on: str = "",
    owner: str = "ReplicaSet",
    namespace: str = "default",
    **more: Any,
) -> Obj:
    name = name or f"p{next(_numbers)}"
    meta: Obj = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": {"app": "x"}}
    if owner:
        meta["ownerReferences"] = [
            {"kind": owner, "apiVersion": "apps/v1", "name": "o", "uid": "o", "controller": True}
        ]
    meta |= more.pop("metadata", {})
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    spec: Obj = {"containers": [container], "schedulerName": "default-scheduler", **more}
    if on:
        return {"metadata": meta, "spec": {**spec, "nodeName": on}, "status": {"phase": "Running"}}
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending", "conditions": [condition]}}


TEMPLATE = Template({"kind": "made"}, (), {"cpu": "4", "memory": "8Gi", "pods": "110"})
