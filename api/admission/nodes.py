"""What pods take over from their node, and how a new node starts."""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj
from podium.api.types.resources import NODES, PODS

TOPOLOGY = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class PodTopologyLabels:
    """A pod that gets its node gets the node's zone and region as labels, whatever its own said."""

    name = "PodTopologyLabels"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        binds = request.resource is PODS and request.subresource == "binding"
        placed = request.obj if binds else request.creates(PODS)
        if placed is None or not (name := _node_of(placed)):
            return
        node = cluster.lookup(NODES, "", name)
        there = ((node or {}).get("metadata") or {}).get("labels") or {}
        if found := {key: there[key] for key in TOPOLOGY if key in there}:
            meta = placed.setdefault("metadata", {})
            meta["labels"] = {**(meta.get("labels") or {}), **found}

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """Labels refuse nothing."""


def _node_of(placed: Obj) -> str:
    """Of a pod, or of a Binding, whose labels its pod gets."""
    return (placed.get("target") or {}).get("name") or (placed.get("spec") or {}).get("nodeName") or ""


class TaintNodesByCondition:
    """No pod comes to a new node before it has said that it is ready."""

    name = "TaintNodesByCondition"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        node = request.creates(NODES)
        if node is None:
            return
        spec = node.setdefault("spec", {})
        taints = spec.get("taints") or []
        wanted = (NOT_READY["key"], NOT_READY["effect"])
        if all((entry.get("key"), entry.get("effect")) != wanted for entry in taints):
            spec["taints"] = [*taints, dict(NOT_READY)]

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """A taint refuses nothing."""
