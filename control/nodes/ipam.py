"""Gives every node its part of the cluster's pod range, in `spec.podCIDR` and `spec.podCIDRs`."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.resources import NODES
from podium.control.controller import Context, Controller
from podium.control.nodes.ranges import Exhausted, Ranges

log = logging.getLogger(__name__)


class NodeIpam(Controller):
    """What nodes say they hold is the truth: all of it is read before the first range is given away.
    Nodes for which none is left wait, told once, until a node with a range goes."""

    name = "node-ipam-controller"
    workers = 1

    def __init__(self, context: Context, cluster_cidr: str, *, node_prefix: int = 24) -> None:
        super().__init__(context)
        self.recorder = context.recorder("cidrAllocator")
        self._ranges = Ranges(cluster_cidr, node_prefix)
        self._waiting: set[str] = set()
        self.nodes = self.watch(NODES, self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        node = new or old
        assert node is not None
        name = node["metadata"]["name"]
        if new is None:
            self._waiting.discard(name)
            return sorted(self._waiting) if self._ranges.release(name) else ()
        if held := (new.get("spec") or {}).get("podCIDR"):
            self._occupy(name, held)
            self._waiting.discard(name)
            return ()
        return () if name in self._waiting else (name,)

    def _occupy(self, name: str, held: str) -> None:
        try:
            self._ranges.occupy(name, held)
        except ValueError as error:
            log.error("%s", error)

    async def reconcile(self, key: str) -> None:
        node = self.nodes.get(key)
        if node is None or (node.get("spec") or {}).get("podCIDR"):
            return
        try:
            cidr = self._ranges.allocate(key)
        except Exhausted as error:
            if key in self._waiting:
                return
            self._waiting.add(key)
            log.warning("node %s waits for a pod range: %s", key, error)
            message = f"Node {key} status is now: CIDRNotAvailable"
            self.recorder.event(node, "Normal", "CIDRNotAvailable", message)
            return
        self._waiting.discard(key)
        patch = {"metadata": {"uid": node["metadata"]["uid"]}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        await self.client.patch(NODES, key, patch, kind="merge")
