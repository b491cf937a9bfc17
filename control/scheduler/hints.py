"""Which change in the cluster may make a filter judge a waiting pod differently. A pod that no change could
help is not tried again.

Source: KEP-4247 (queueing hints).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from podium.api.types.taints import UNSCHEDULABLE, bears_all
from podium.control.scheduler.filters import taken
from podium.control.scheduler.labels import Labels
from podium.control.scheduler.needs import Cost, Needs, Placed, Shape
from podium.control.scheduler.picture import Facts, NodeChange
from podium.control.scheduler.terms import Spread, Term


class PodChange(NamedTuple):
    """A placed pod before and after; None where it was not, or is no more."""

    old: Placed | None
    new: Placed | None


class ObjectChange(NamedTuple):
    """Something that volumes depend on came (`added`) or changed. `namespace` is "" for all but claims."""

    kind: Literal["claim", "volume", "class", "csi node", "csi driver", "capacity", "attachment"]
    namespace: str
    name: str
    added: bool


class NamespaceChange(NamedTuple):
    name: str


Change: TypeAlias = NodeChange | PodChange | ObjectChange | NamespaceChange


def helps(plugins: frozenset[str], needs: Needs, change: Change, namespaces: Mapping[str, Labels]) -> bool:
    """Whether one of `plugins`, which refused the pod, may judge otherwise after `change`. A pod that was
    refused by nobody in particular is helped by everything."""
    if not plugins:
        return True
    if isinstance(change, NodeChange):
        return any(_node(name, needs, change) for name in plugins)
    if isinstance(change, PodChange):
        return any(_pod(name, needs, change, namespaces) for name in plugins)
    if isinstance(change, NamespaceChange):
        return "InterPodAffinity" in plugins
    return any(_object(name, needs, change) for name in plugins)


def _node(plugin: str, needs: Needs, change: NodeChange) -> bool:
    hint = _NODE.get(plugin)
    if hint is None:
        return False
    if change.new is None:
        # A domain less may even out the others.
        return plugin == "PodTopologySpread"
    return hint(needs.shape, change.name, change.old, change.new)


def _schedulable(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    def refused(facts: Facts) -> bool:
        return facts.unschedulable and not bears_all(shape.footprint.tolerations, (UNSCHEDULABLE,))

    return not refused(new) and (old is None or refused(old))


def _tolerable(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    if not bears_all(shape.footprint.tolerations, new.hard_taints):
        return False
    return old is None or not bears_all(shape.footprint.tolerations, old.hard_taints)


def _matching(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    if not shape.footprint.required.matches(name, new.labels):
        return False
    return old is None or not shape.footprint.required.matches(name, old.labels)


def _added(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    return old is None


def _roomier(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    """The pod would fit there if it were alone, and there is more than before of something that it asks
    for."""
    room = new.allocatable
    if room.get("pods", 0) < 1 or any(
        amount > room.get(resource, 0) for resource, amount in shape.footprint.cost.requests
    ):
        return False
    if old is None or room.get("pods", 0) > old.allocatable.get("pods", 0):
        return True
    return any(
        room.get(resource, 0) > old.allocatable.get(resource, 0)
        for resource, _ in shape.footprint.cost.requests
    )


def _labelled(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    return old is None or old.labels != new.labels


def _spread_node(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    return old is None or (old.labels, old.hard_taints) != (new.labels, new.hard_taints)


def _volume_node(shape: Shape, name: str, old: Facts | None, new: Facts) -> bool:
    return old is None or old.labels != new.labels or old.hard_taints != new.hard_taints


_NODE: dict[str, Callable[[Shape, str, Facts | None, Facts], bool]] = {
    "NodeUnschedulable": _schedulable,
    "TaintToleration": _tolerable,
    "NodeAffinity": _matching,
    "NodePorts": _added,
    "NodeResourcesFit": _roomier,
    "VolumeRestrictions": _added,
    "NodeVolumeLimits": _added,
    "VolumeBinding": _volume_node,
    "VolumeZone": _volume_node,
    "PodTopologySpread": _spread_node,
    "InterPodAffinity": _labelled,
}


def _pod(plugin: str, needs: Needs, change: PodChange, namespaces: Mapping[str, Labels]) -> bool:
    old, new = change
    shape = needs.shape
    match plugin:
        case "NodeResourcesFit":
            return old is not None and (new is None or _shrank(shape, old.cost, new.cost))
        case "NodePorts":
            return old is not None and new is None and _frees_port(shape, old)
        case "PodTopologySpread":
            return any(_counts(shape, pod) for pod in (old, new) if pod is not None)
        case "InterPodAffinity":
            return _near(shape, old, new, namespaces)
        case "VolumeRestrictions" | "NodeVolumeLimits":
            return new is None and old is not None and bool(old.claims)
    return False


def _shrank(shape: Shape, old: Cost, new: Cost) -> bool:
    before, after = dict(old.requests), dict(new.requests)
    return any(
        before.get(resource, 0) > after.get(resource, 0) for resource, _ in shape.footprint.cost.requests
    )


def _frees_port(shape: Shape, gone: Placed) -> bool:
    held = dict.fromkeys(gone.cost.ports, 1)
    return any(taken(port, held) for port in shape.footprint.cost.ports)


def _counts(shape: Shape, pod: Placed) -> bool:
    spreads: tuple[Spread, ...] = shape.hard_spread
    if not shape.own_spread:
        return pod.namespace == shape.namespace
    return pod.namespace == shape.namespace and any(entry.selector.matches(pod.labels) for entry in spreads)


def _near(shape: Shape, old: Placed | None, new: Placed | None, namespaces: Mapping[str, Labels]) -> bool:
    """A pod that the waiting one wants to be near came, or one that it must keep away from (or that keeps
    it away) went; a changed label is both."""

    def accepts(term: Term, pod: Placed) -> bool:
        return term.accepts(pod.namespace, pod.labels, namespaces)

    fresh = new if new is not None and (old is None or old.labels != new.labels) else None
    if fresh is not None and any(accepts(term, fresh) for term in shape.terms.affinity):
        return True
    if old is None or (new is not None and old.labels == new.labels):
        return False
    if any(accepts(term, old) for term in (*shape.terms.anti_affinity, *shape.terms.affinity)):
        # Also one that it wanted to be near: the first of a series may go where it likes.
        return True
    return any(term.accepts(shape.namespace, shape.labels, namespaces) for term in old.terms.anti_affinity)


def _object(plugin: str, needs: Needs, change: ObjectChange) -> bool:
    if change.kind == "claim" and not (
        change.namespace == needs.namespace and any(volume.claim == change.name for volume in needs.volumes)
    ):
        return False
    kinds = _OBJECTS.get(plugin, frozenset())
    return change.kind in kinds and (change.added or (plugin, change.kind) not in _ONLY_ADDED)


_OBJECTS = {
    "VolumeBinding": frozenset({"claim", "volume", "class", "csi node", "csi driver", "capacity"}),
    "VolumeZone": frozenset({"claim", "volume", "class"}),
    "VolumeRestrictions": frozenset({"claim"}),
    "NodeVolumeLimits": frozenset({"claim", "csi node", "attachment"}),
}
_ONLY_ADDED = {("VolumeRestrictions", "claim"), ("NodeVolumeLimits", "claim"), ("VolumeZone", "class")}
