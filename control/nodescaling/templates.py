"""What a new node would be like, told by one that there is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.requests import amounts, pod_requests
from podium.control.nodescaling.provider import Template
from podium.control.nodescaling.taints import CANDIDATE, DELETED
from podium.control.pods import of_daemon

# Labels and taints that say something about one node at one moment.
OWN_LABELS = ("kubernetes.io/hostname",)
OWN_TAINTS = "node.kubernetes.io/"


def like(node: Obj, pods: Iterable[Obj]) -> Template:
    """A node like `node`, on which daemons take as much as they take there."""
    meta, status = node["metadata"], node.get("status") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in OWN_LABELS}
    taints = [
        taint
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint["key"] not in (DELETED, CANDIDATE) and not taint["key"].startswith(OWN_TAINTS)
    ]
    left = amounts(status.get("allocatable"))
    for pod in pods:
        if of_daemon(pod):
            for resource, amount in {**pod_requests(pod["spec"]), "pods": 1}.items():
                if resource in left:
                    left[resource] -= amount
    texts = {name: f"{value}m" if name == "cpu" else str(value) for name, value in left.items()}
    return Template(labels, taints, texts)
