"""Revisions of a Deployment: each template it ever had is a ReplicaSet, found again by its template, named by
its hash, numbered in annotations that `kubectl rollout history` and `undo` read.

Source: kubernetes.io "Deployments", sections "Pod-template-hash label", "Rolling Back" and "Clean up Policy".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.meta import controller_reference, deleting
from podium.control.templates import HASH, same_template, template_hash

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
NAME_LIMIT = 253
HISTORY_LIMIT = 2000  # characters
UNLIMITED = 2**31 - 1
# Annotations that say something about the Deployment alone.
_OWN = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
}


def annotations_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def annotation(obj: Obj, name: str) -> int | None:
    """A count kept in an annotation, None where there is none."""
    text = annotations_of(obj).get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def oldest_first(replica_sets: Iterable[Obj]) -> list[Obj]:
    return sorted(
        replica_sets,
        key=lambda entry: (entry["metadata"].get("creationTimestamp", ""), entry["metadata"]["name"]),
    )


def revision(obj: Obj) -> int:
    return annotation(obj, REVISION) or 0


def find_new(deployment: Obj, replica_sets: Iterable[Obj]) -> Obj | None:
    """The oldest ReplicaSet with the Deployment's present template."""
    template = deployment["spec"]["template"]
    for replica_set in oldest_first(replica_sets):
        if same_template(replica_set["spec"]["template"], template):
            return replica_set
    return None


def build(deployment: Obj) -> Obj:
    """The ReplicaSet of the Deployment's present template, without pods, annotations or revision."""
    spec, meta = deployment["spec"], deployment["metadata"]
    collisions = (deployment.get("status") or {}).get("collisionCount", 0)
    suffix = template_hash(spec["template"], collisions)
    template = spec["template"]
    template_meta = template.get("metadata") or {}
    labels = {**(template_meta.get("labels") or {}), HASH: suffix}
    selector = spec["selector"]
    made: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name'][: NAME_LIMIT - len(suffix) - 1]}-{suffix}",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: suffix}},
            "template": {**template, "metadata": {**template_meta, "labels": labels}},
        },
    }
    if seconds := spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = seconds
    return made


def size_annotations(desired: int, maximum: int) -> dict[str, str]:
    return {DESIRED: str(desired), MAXIMUM: str(maximum)}


def inherited(deployment: Obj, replica_set: Obj, number: int) -> dict[str, str]:
    """The annotations that the newest ReplicaSet is to have: the Deployment's, and the revision `number`
    unless it has a higher one. Numbers it had before (it is being rolled back to) are kept in its history."""
    present = annotations_of(replica_set)
    own = {name: value for name, value in annotations_of(deployment).items() if name not in _OWN}
    result = {**present, **own}
    before = present.get(REVISION)
    if before is not None and not before.isdigit():
        return result
    if int(before or 0) < number:
        result[REVISION] = str(number)
        if before is not None:
            result[HISTORY] = _history(present.get(HISTORY, ""), before)
    return result


def _history(text: str, number: str) -> str:
    entries = [*(text.split(",") if text else ()), number]
    while len(",".join(entries)) > HISTORY_LIMIT:
        entries.pop(0)
    return ",".join(entries)


def surplus(deployment: Obj, olds: Sequence[Obj]) -> list[Obj]:
    """Old ReplicaSets beyond revisionHistoryLimit, oldest revisions first, that have and want no pods."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    alive = [entry for entry in oldest_first(olds) if not deleting(entry)]
    if limit == UNLIMITED or len(alive) <= limit:
        return []
    alive.sort(key=revision)
    return [entry for entry in alive[: len(alive) - limit] if _is_idle(entry)]


def _is_idle(replica_set: Obj) -> bool:
    status = replica_set.get("status") or {}
    observed = status.get("observedGeneration", 0) >= replica_set["metadata"].get("generation", 0)
    return observed and not status.get("replicas") and replica_set["spec"].get("replicas", 1) == 0
