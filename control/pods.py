"""Facts about pods that several controllers ask for, and pods made from a template."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from podium.api.types import Obj
from podium.api.types.meta import condition, controller_of, controller_reference, deleting, parse_time
from podium.client.informer import Informer

BY_CONTROLLER = "controller"
ORPHANS = "orphan/"
BY_NODE = "spec.nodeName"
MIRROR = "kubernetes.io/config.mirror"
FINISHED = ("Succeeded", "Failed")


def by_controller(pod: Obj) -> Iterable[str]:
    """The indexer BY_CONTROLLER: the controller's uid, or `orphan/NAMESPACE` for a pod without one."""
    owner = controller_of(pod)
    return (owner["uid"] if owner else ORPHANS + pod["metadata"].get("namespace", ""),)


def by_node(pod: Obj) -> Iterable[str]:
    """The indexer BY_NODE: the node a pod is bound to."""
    return (name,) if (name := pod["spec"].get("nodeName")) else ()


def controlled(pods: Informer, owner: Obj) -> list[Obj]:
    """The pods whose controller is `owner`."""
    return pods.by_index(BY_CONTROLLER, owner["metadata"]["uid"])


def orphans(pods: Informer, namespace: str) -> list[Obj]:
    """The pods of a namespace that no controller owns."""
    return pods.by_index(BY_CONTROLLER, ORPHANS + namespace)


def phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def is_finished(pod: Obj) -> bool:
    return phase(pod) in FINISHED


def is_active(pod: Obj) -> bool:
    """Neither finished nor being deleted: counts as a replica."""
    return not is_finished(pod) and not deleting(pod)


def is_ready(pod: Obj) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def ready_since(pod: Obj) -> datetime | None:
    """When a ready pod became so, where it says."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True" or not found.get("lastTransitionTime"):
        return None
    return parse_time(found["lastTransitionTime"])


def available_in(pod: Obj, min_ready_seconds: int, now: datetime) -> float | None:
    """Seconds until the pod counts as available: 0 when it does, None while it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready_seconds <= 0:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, (since + timedelta(seconds=min_ready_seconds) - now).total_seconds())


def of_daemon(pod: Obj) -> bool:
    """Whether it belongs to its node, and comes and goes with it."""
    owner = controller_of(pod)
    mirror = MIRROR in (pod["metadata"].get("annotations") or {})
    return mirror or (owner is not None and owner["kind"] in ("DaemonSet", "Node"))


def eviction_of(pod: Obj) -> Obj:
    """What asks for the eviction of just this pod, not of another with its name."""
    meta = pod["metadata"]
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "deleteOptions": {"preconditions": {"uid": meta["uid"]}},
    }


def from_template(template: Obj, owner: Obj) -> Obj:
    """A pod that `owner` controls, as its template says, named by the server with the owner's name in
    front."""
    meta = template.get("metadata") or {}
    made: Obj = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [controller_reference(owner)],
    }
    for part in ("labels", "annotations", "finalizers"):
        if meta.get(part):
            made[part] = meta[part]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}
