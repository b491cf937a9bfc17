"""Which nodes a DaemonSet's pods belong on, and how a pod is bound to one of them. Pure.

Source: kubernetes.io "DaemonSet", sections "How Daemon Pods are scheduled" and "Taints and tolerations".
"""

from __future__ import annotations

from typing import NamedTuple

from podium.api.types import Obj, affinity, taints

NAME_FIELD = "metadata.name"
_BORNE = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_ON_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Verdict(NamedTuple):
    """`runs`: a pod is to be made here. `stays`: one that is here already may go on."""

    runs: bool
    stays: bool


NO = Verdict(runs=False, stays=False)


class Placement(NamedTuple):
    """What a DaemonSet's template says about nodes, read once for all of them."""

    node: str
    required: affinity.Required
    borne: tuple[taints.Toleration, ...]

    def judge(self, node: Obj) -> Verdict:
        meta = node["metadata"]
        if self.node and self.node != meta["name"]:
            return NO
        if not self.required.matches(meta["name"], meta.get("labels") or {}):
            return NO
        present = [taints.taint(entry) for entry in (node.get("spec") or {}).get("taints") or ()]
        repelling = [entry for entry in present if not taints.bears_all(self.borne, (entry,))]
        effects = {entry.effect for entry in repelling}
        return Verdict(runs=effects <= {"PreferNoSchedule"}, stays="NoExecute" not in effects)


def placement(daemon_set: Obj) -> Placement:
    spec = daemon_set["spec"]["template"]["spec"]
    borne = taints.tolerations({"tolerations": tolerations(spec)})
    return Placement(spec.get("nodeName", ""), affinity.required(spec), borne)


def tolerations(spec: Obj) -> list[Obj]:
    """The template's, and those that every daemon has: it stays on a node that is in trouble."""
    found = list(spec.get("tolerations") or ())
    for key, effect in (*_BORNE, *((_ON_HOST_NETWORK,) if spec.get("hostNetwork") else ())):
        own = {"key": key, "operator": "Exists", "effect": effect}
        same = [entry for entry in found if _means(entry) == _means(own)]
        if same:
            found = [own if entry in same else entry for entry in found]
        else:
            found.append(own)
    return found


def _means(toleration: Obj) -> tuple[str, ...]:
    fields = ("key", "operator", "value", "effect")
    return tuple(str(toleration.get(field) or "") for field in fields)


def pinned(spec: Obj, node: str) -> Obj:
    """The affinity that makes the scheduler choose `node` for a pod of `spec`. The nodes it required before
    were asked for when this one was chosen."""
    term = {"matchFields": [{"key": NAME_FIELD, "operator": "In", "values": [node]}]}
    present = spec.get("affinity") or {}
    to_nodes = {**(present.get("nodeAffinity") or {}), _REQUIRED: {"nodeSelectorTerms": [term]}}
    return {**present, "nodeAffinity": to_nodes}


def target(pod: Obj) -> str:
    """The node that a daemon pod is on or is made for, "" where it names none."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == NAME_FIELD and field["operator"] == "In":
                return str(field["values"][0]) if len(field.get("values") or ()) == 1 else ""
    return ""
