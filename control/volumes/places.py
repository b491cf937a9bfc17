"""Which node a volume of the built-in provisioner is made on, when no pod's place decides it.

Source: kubernetes.io "Storage Classes", sections "Volume Binding Mode" and "Allowed Topologies".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from podium.api.types import Obj
from podium.api.types.meta import condition, deleting, parse_time
from podium.api.types.storage import HOSTNAME

PATIENCE = timedelta(seconds=60)  # how long a node may be not ready before its work is given to another


def is_ready(node: Obj) -> bool:
    found = condition(node, "Ready")
    return found is not None and found.get("status") == "True"


def silent_since(node: Obj) -> datetime | None:
    """Since when the node is not ready, None while it is."""
    if is_ready(node):
        return None
    found = condition(node, "Ready") or {}
    since = found.get("lastTransitionTime") or node["metadata"].get("creationTimestamp")
    return parse_time(since) if since else None


def given_up_in(node: Obj, now: datetime) -> float | None:
    """Seconds until nobody waits for the node any longer; None while it is ready."""
    since = silent_since(node)
    return None if since is None else max(0.0, (since + PATIENCE - now).total_seconds())


def allows(storage_class: Obj, labels: Mapping[str, str]) -> bool:
    """Whether a volume of the class may be where nodes have these labels."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(
        all(
            labels.get(entry["key"]) in (entry.get("values") or ())
            for entry in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )


def candidates(nodes: Iterable[Obj], storage_class: Obj) -> list[Obj]:
    """The nodes that can make a volume of the class now."""
    return [
        node
        for node in nodes
        if is_ready(node)
        and not deleting(node)
        and not (node.get("spec") or {}).get("unschedulable")
        and HOSTNAME in (node["metadata"].get("labels") or {})
        and allows(storage_class, node["metadata"].get("labels") or {})
    ]


def choose(nodes: Iterable[Obj], held: Mapping[str, int], without: Collection[str] = ()) -> str:
    """The node with fewest volumes, one without taints before one with; "" where there is none. `held` are
    the volumes of each node, `without` nodes that just had no room."""
    free = [node for node in nodes if node["metadata"]["name"] not in without]

    def rank(node: Obj) -> tuple[bool, int, str]:
        name = node["metadata"]["name"]
        return bool((node.get("spec") or {}).get("taints")), held.get(name, 0), name

    best = min(free, key=rank, default=None)
    return str(best["metadata"]["name"]) if best else ""
