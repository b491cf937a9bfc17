"""How far each ReplicaSet of a Deployment may grow or must shrink now. Pure arithmetic over specs and
statuses.

Source: kubernetes.io "Deployments", sections "Rolling Update Deployment" and "Proportional scaling"; apps/v1
DeploymentSpec.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.control.deployments.revisions import DESIRED, MAXIMUM, annotation, oldest_first


class Resize(NamedTuple):
    """A ReplicaSet and the size it is to have. Equal to the present one where only its annotations are to be
    renewed."""

    replica_set: Obj
    size: int


def size_of(replica_set: Obj) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def available(replica_set: Obj) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def total(replica_sets: Iterable[Obj]) -> int:
    return sum(size_of(replica_set) for replica_set in replica_sets)


def active(replica_sets: Iterable[Obj]) -> list[Obj]:
    """Those that ask for pods."""
    return [replica_set for replica_set in replica_sets if size_of(replica_set) > 0]


def wanted(deployment: Obj) -> int:
    return int(deployment["spec"].get("replicas", 1))


def is_rolling(deployment: Obj) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def scaled(value: int | str | None, count: int, *, up: bool) -> int:
    """A count, or a percentage of `count` rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * count / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(value or 0)


def _fenceposts(deployment: Obj) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods. Surge rounds up and unavailability down; never are both nothing, or
    no rollout would ever move."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    count = wanted(deployment)
    surge = scaled(rolling.get("maxSurge", "25%"), count, up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), count, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def max_surge(deployment: Obj) -> int:
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Obj) -> int:
    if not is_rolling(deployment) or wanted(deployment) == 0:
        return 0
    return min(_fenceposts(deployment)[1], wanted(deployment))


def max_total(deployment: Obj) -> int:
    return wanted(deployment) + max_surge(deployment)


def new_size(deployment: Obj, olds: Sequence[Obj], size: int) -> int:
    """The size that the new ReplicaSet, now of `size`, may grow to beside the old ones."""
    if not is_rolling(deployment):
        return wanted(deployment)
    room = max_total(deployment) - total(olds) - size
    return size if room <= 0 else size + min(room, wanted(deployment) - size)


def rolling(deployment: Obj, new: Obj, olds: Sequence[Obj]) -> list[Resize]:
    """The next resizes of a rolling update: the new ReplicaSet first, and when it is as large as it may be,
    the old."""
    size = size_of(new)
    if size > wanted(deployment):
        return [Resize(new, wanted(deployment))]
    target = new_size(deployment, olds, size)
    if target != size:
        return [Resize(new, target)]
    return _shrink(deployment, new, active(olds))


def _shrink(deployment: Obj, new: Obj, olds: Sequence[Obj]) -> list[Resize]:
    """Old ReplicaSets give up their unhealthy pods first, since those serve nobody, and then as many healthy
    ones as stay above the minimum. New pods that are not available yet count against what may go, or a
    rollout whose new pods never become ready would eat all old ones."""
    minimum = wanted(deployment) - max_unavailable(deployment)
    budget = total([*olds, new]) - minimum - (size_of(new) - available(new))
    if budget <= 0 or not olds:
        return []
    sizes = {_uid(old): size_of(old) for old in olds}
    order = oldest_first(olds)
    for old in order:
        given = min(budget, sizes[_uid(old)] - available(old))
        if given > 0:
            sizes[_uid(old)] -= given
            budget -= given
    spare = sum(available(entry) for entry in (*olds, new)) - minimum
    for old in order:
        given = min(spare, sizes[_uid(old)])
        if given > 0:
            sizes[_uid(old)] -= given
            spare -= given
    return [Resize(old, sizes[_uid(old)]) for old in order if sizes[_uid(old)] != size_of(old)]


def _uid(replica_set: Obj) -> str:
    return str(replica_set["metadata"]["uid"])


def is_scaling(deployment: Obj, replica_sets: Iterable[Obj]) -> bool:
    """Whether the Deployment's size changed since a ReplicaSet with pods was last resized for it."""
    desired = (annotation(entry, DESIRED) for entry in active(replica_sets))
    return any(count is not None and count != wanted(deployment) for count in desired)


def _is_saturated(deployment: Obj, new: Obj | None) -> bool:
    count = wanted(deployment)
    return new is not None and size_of(new) == annotation(new, DESIRED) == count and available(new) == count


def scaling(deployment: Obj, new: Obj | None, olds: Sequence[Obj]) -> list[Resize]:
    """The resizes when the size alone changes, or while paused: a sole ReplicaSet takes all of it, several
    share it in the proportion of their sizes."""
    present = [*olds, new] if new is not None else list(olds)
    if not present:
        return []
    holders = active(present)
    if len(holders) <= 1:
        sole = holders[0] if holders else (new or oldest_first(olds)[-1])
        return [] if size_of(sole) == wanted(deployment) else [Resize(sole, wanted(deployment))]
    if _is_saturated(deployment, new):
        return [Resize(old, 0) for old in active(olds)]
    return _proportional(deployment, holders) if is_rolling(deployment) else []


def _proportional(deployment: Obj, holders: Sequence[Obj]) -> list[Resize]:
    """Larger ones first; of equals the newer grows first and the older shrinks first. What rounding leaves
    over goes to the largest."""
    allowed = max_total(deployment) if wanted(deployment) > 0 else 0
    missing = allowed - total(holders)
    order = oldest_first(holders)
    if missing > 0:
        order.reverse()
    order.sort(key=size_of, reverse=True)
    shares: list[int] = []
    for replica_set in order:
        left = missing - sum(shares)
        share = _fraction(deployment, replica_set) if left else 0
        shares.append(min(share, left) if missing > 0 else max(share, left))
    shares[0] += missing - sum(shares)
    return [Resize(entry, max(0, size_of(entry) + share)) for entry, share in zip(order, shares, strict=True)]


def _fraction(deployment: Obj, replica_set: Obj) -> int:
    """What one ReplicaSet gains or loses when the Deployment's maximum changes from what it was at its last
    resize."""
    size = size_of(replica_set)
    if wanted(deployment) == 0:
        return -size
    before = annotation(replica_set, MAXIMUM) or (deployment.get("status") or {}).get("replicas", 0)
    if not before:
        return 0
    return math.floor(size * max_total(deployment) / before + 0.5) - size
