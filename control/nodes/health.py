"""What a node's conditions and taints ought to be. Pure.

Source: "Nodes" (node status, heartbeats) and "Taints and Tolerations" (taint nodes by condition, taint based
evictions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.types import Obj

READY = "Ready"
NOT_READY_KEY = "node.kubernetes.io/not-ready"
UNREACHABLE_KEY = "node.kubernetes.io/unreachable"
UNSCHEDULABLE_KEY = "node.kubernetes.io/unschedulable"

# Condition → its status → the taint that says so.
CONDITION_TAINTS: dict[str, dict[str, str]] = {
    READY: {"False": NOT_READY_KEY, "Unknown": UNREACHABLE_KEY},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
}
MANAGED_KEYS = frozenset(
    [UNSCHEDULABLE_KEY, *(key for statuses in CONDITION_TAINTS.values() for key in statuses.values())]
)
EVICTING_KEYS = frozenset([NOT_READY_KEY, UNREACHABLE_KEY])

# Those that the node itself reports, and that nobody can know of once it is silent.
REPORTED = (READY, "MemoryPressure", "DiskPressure", "PIDPressure")


def conditions_of(node: Obj) -> dict[str, Obj]:
    return {entry["type"]: entry for entry in (node.get("status") or {}).get("conditions") or ()}


# Labels that older clients know by another name.
_TWINS = {"kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch"}


def twin_labels(node: Obj) -> dict[str, str]:
    """The labels to set so that old names say what new ones do."""
    labels = node["metadata"].get("labels") or {}
    return {
        old: labels[new] for new, old in _TWINS.items() if new in labels and labels.get(old) != labels[new]
    }


def is_given_up(node: Obj) -> bool:
    """Whether a NoExecute taint of ours drives the node's pods out."""
    entries = (node.get("spec") or {}).get("taints") or ()
    return any(entry["effect"] == "NoExecute" and entry["key"] in EVICTING_KEYS for entry in entries)


def ready_status(node: Obj) -> str:
    """True, False or Unknown; "" for a node that never reported."""
    return str(conditions_of(node).get(READY, {}).get("status", ""))


def silent_conditions(node: Obj, now: str) -> list[Obj]:
    """The conditions to write for a node that stopped reporting; none when that was written already."""
    present = conditions_of(node)
    changed: list[Obj] = []
    for kind in REPORTED:
        old = present.get(kind)
        if old is None:
            changed.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                    "lastTransitionTime": now,
                }
            )
        elif old.get("status") != "Unknown":
            changed.append(
                {
                    **old,
                    "status": "Unknown",
                    "reason": "NodeStatusUnknown",
                    "message": "Kubelet stopped posting node status.",
                    "lastTransitionTime": now,
                }
            )
    return changed


def taints(node: Obj, now: str, *, evict: bool) -> list[Obj]:
    """The taints that the node ought to have: others' untouched, ours as its conditions say. `evict` is
    whether a node that is not ready loses its pods: not when none is, and not too many at once."""
    spec = node.get("spec") or {}
    present: list[Obj] = list(spec.get("taints") or ())
    wanted = _wanted(node, evict)
    kept = [entry for entry in present if not _managed(entry) or (entry["key"], entry["effect"]) in wanted]
    have = {(entry["key"], entry["effect"]) for entry in kept}
    for key, effect in wanted:
        if (key, effect) not in have:
            # Eviction counts a toleration's seconds from there.
            kept.append({"key": key, "effect": effect, "timeAdded": now})
    return kept


def _managed(entry: Mapping[str, Any]) -> bool:
    if entry["effect"] == "NoSchedule":
        return entry["key"] in MANAGED_KEYS
    return entry["effect"] == "NoExecute" and entry["key"] in EVICTING_KEYS


def _wanted(node: Obj, evict: bool) -> dict[tuple[str, str], None]:
    """(key, effect) pairs in a stable order."""
    wanted: dict[tuple[str, str], None] = {}
    present = conditions_of(node)
    if (node.get("spec") or {}).get("unschedulable"):
        wanted[(UNSCHEDULABLE_KEY, "NoSchedule")] = None
    for kind, keys in CONDITION_TAINTS.items():
        status = present.get(kind, {}).get("status", "")
        if kind == READY and not status:
            # Not reported yet: what the admission put there stays until it is.
            wanted[(NOT_READY_KEY, "NoSchedule")] = None
        if status in keys:
            wanted[(keys[status], "NoSchedule")] = None
            if kind == READY and evict:
                wanted[(keys[status], "NoExecute")] = None
    return wanted
