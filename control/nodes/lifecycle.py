"""Watches over the nodes' heartbeats: a silent node's conditions become Unknown, its taints follow its
conditions, and its pods are no longer Ready.

A heartbeat is a renewed Lease or a newer Ready condition, by this machine's own clock; the node's clock is
not trusted. One timer per node is armed for the moment its patience would end; a heartbeat only notes the
time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import LEASES, NODES, PODS
from podium.control.controller import Context, Controller
from podium.control.nodes import health, zones
from podium.control.nodes.zones import Census, Limiter, Rates, Zone

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
BY_NODE = "spec.nodeName"


def by_node(pod: Obj) -> tuple[str, ...]:
    """Indexes pods by their node."""
    name = pod["spec"].get("nodeName")
    return (name,) if name else ()


class Patience(NamedTuple):
    """Seconds without a heartbeat until a node is silent, and until one is that never reported."""

    monitor: float = 50.0
    startup: float = 60.0


PATIENCE, RATES = Patience(), Rates()


@dataclass(slots=True)
class _Pulse:
    """A node's last heartbeat: what it said, and when it was seen here."""

    beat: float
    renewed: str = ""
    reported: str = ""


class NodeLifecycle(Controller):
    """Reads all nodes, all pods, and the Leases of kube-node-lease."""

    name = "node-lifecycle-controller"

    def __init__(self, context: Context, patience: Patience = PATIENCE, rates: Rates = RATES) -> None:
        super().__init__(context)
        self.recorder = context.recorder("node-controller")
        self._patience, self._rates = patience, rates
        self._pulses: dict[str, _Pulse] = {}
        self._census = Census()
        self._zones: dict[str, Zone] = {}
        self._limiters: dict[str, Limiter] = {}
        self._given_up: set[str] = set()
        self.pods = self.watch(PODS, indexers={BY_NODE: by_node})
        self.nodes = self.watch(NODES, self._node_changed)
        self.watch(LEASES, self._lease_changed)

    def _now(self) -> float:
        return (self.context.clock or asyncio.get_running_loop()).time()

    def _node_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        node = new or old
        assert node is not None
        name = node["metadata"]["name"]
        if new is None:
            self._pulses.pop(name, None)
            self._given_up.discard(name)
            self._census.drop(name)
            message = f"Node {name} event: Removing Node {name} from Controller"
            self.recorder.event(node, "Normal", "RemovingNode", message)
        else:
            self._heard(name, new)
            self._census.put(new)
        if self._rezone():
            # What silence tells about a node changed for others as well.
            return [entry["metadata"]["name"] for entry in self.nodes.list()]
        return (name,)

    def _rezone(self) -> bool:
        """Takes over the zones as they are now; returns whether any is in another state than before."""
        before, self._zones = self._zones, self._census.zones(self._rates)
        if before == self._zones:
            return False
        now = self._now()
        for name, zone in self._zones.items():
            limiter = self._limiters.setdefault(name, Limiter(self._rates.usual, at=now))
            limiter.change(zones.rate(zone, self._rates), now)
        if zones.all_silent(before) and not zones.all_silent(self._zones):
            # Nobody was heard of for a while: everybody gets the full time to be heard again.
            for pulse in self._pulses.values():
                pulse.beat = now
        return {name: zone.state for name, zone in before.items()} != {
            name: zone.state for name, zone in self._zones.items()
        }

    def _heard(self, name: str, node: Obj) -> None:
        pulse = self._pulses.get(name)
        if pulse is None:
            pulse = self._pulses[name] = _Pulse(self._now())
            message = f"Node {name} event: Registered Node {name} in Controller"
            self.recorder.event(node, "Normal", "RegisteredNode", message)
        ready = health.conditions_of(node).get(health.READY, {})
        reported = ready.get("lastHeartbeatTime") or ""
        if ready.get("status") != "Unknown" and reported != pulse.reported:
            pulse.beat, pulse.reported = self._now(), reported
        if ready.get("status") == "True":
            self._given_up.discard(name)

    def _lease_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None or new["metadata"].get("namespace") != LEASE_NAMESPACE:
            return ()
        pulse = self._pulses.get(new["metadata"]["name"])
        renewed = (new.get("spec") or {}).get("renewTime") or ""
        if pulse is not None and renewed != pulse.renewed:
            pulse.beat, pulse.renewed = self._now(), renewed
        # The timer that is armed sees it; nothing is to be done now.
        return ()

    async def reconcile(self, key: str) -> None:
        node, pulse = self.nodes.get(key), self._pulses.get(key)
        if node is None or pulse is None:
            return
        status = health.ready_status(node)
        left = pulse.beat + (self._patience.monitor if status else self._patience.startup) - self._now()
        if left > 0:
            self.queue.add_after(key, left)
        else:
            node = await self._silence(key, node)
        await self._taint(key, node)
        if health.ready_status(node) == "Unknown":
            await self._unready_pods(key)
        if twins := health.twin_labels(node):
            await self.client.patch(NODES, key, {"metadata": {"labels": twins}})

    async def _silence(self, name: str, node: Obj) -> Obj:
        """Writes that nothing is known of the node any more. Returns its state."""
        conditions = health.silent_conditions(node, meta.timestamp())
        if not conditions:
            return node
        log.warning("node %s stopped reporting", name)
        was_ready = health.ready_status(node) == "True"
        # A report that arrives meanwhile must not be written over.
        identity = {"uid": node["metadata"]["uid"], "resourceVersion": node["metadata"]["resourceVersion"]}
        patch = {"metadata": identity, "status": {"conditions": conditions}}
        changed = await self.client.patch(NODES, name, patch, kind="strategic", subresource="status")
        if was_ready:
            self.recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        return changed

    async def _taint(self, name: str, node: Obj) -> None:
        wanted = health.taints(node, meta.timestamp(), evict=self._may_evict(name, node))
        if wanted == list((node.get("spec") or {}).get("taints") or ()):
            return
        # The whole list is written, so nobody else's taint may have come in between.
        identity = {"uid": node["metadata"]["uid"], "resourceVersion": node["metadata"]["resourceVersion"]}
        await self.client.patch(
            NODES, name, {"metadata": identity, "spec": {"taints": wanted or None}}, kind="merge"
        )

    def _may_evict(self, name: str, node: Obj) -> bool:
        """Whether the node, if it is not ready, may be given up now; else it is looked at again when it
        may."""
        if zones.all_silent(self._zones):
            return False
        silent = health.ready_status(node) in ("False", "Unknown")
        if not silent or health.is_given_up(node) or name in self._given_up:
            return True
        now = self._now()
        limiter = self._limiters.setdefault(zones.zone_of(node), Limiter(self._rates.usual, at=now))
        wait = limiter.take(now)
        if wait == 0:
            self._given_up.add(name)
            return True
        if wait is not None:
            self.queue.add_after(name, wait)
        return False

    async def _unready_pods(self, name: str) -> None:
        """No Service may send to pods of which nobody knows whether they run."""
        for pod in self.pods.by_index(BY_NODE, name):
            if not meta.condition_is_true(pod, "Ready"):
                continue
            condition = {"type": "Ready", "status": "False", "lastTransitionTime": meta.timestamp()}
            patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [condition]}}
            pod_name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            try:
                await self.client.patch(
                    PODS, pod_name, patch, namespace, kind="strategic", subresource="status"
                )
            except StatusError as error:
                if error.code not in (404, 409):
                    raise
            else:
                self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
