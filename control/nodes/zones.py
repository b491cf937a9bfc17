"""How fast nodes that fell silent may be given up: slower where many of a zone did, not at all where all of
them did, since then it is more likely that the zone cannot be seen than that it is gone. Pure.

Source: kubernetes.io "Nodes", section "Rate limits on eviction".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from podium.api.types import Obj
from podium.control.nodes import health

ZONE_LABEL, REGION_LABEL = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
EXCLUDED_LABEL = "node.kubernetes.io/exclude-disruption"
LEAST_UNHEALTHY = 3  # nodes: fewer never make a zone unhealthy


class State(Enum):
    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


class Rates(NamedTuple):
    """`usual` and `reduced` in nodes per second; `reduced` is for an unhealthy zone of more than `large`
    nodes, a smaller one stops entirely. A zone is unhealthy from the fraction `unhealthy` on."""

    usual: float = 0.1
    reduced: float = 0.01
    large: int = 50
    unhealthy: float = 0.55


def zone_of(node: Obj) -> str:
    """What tells a node's zone from all others, "" for a node that names none."""
    labels = node["metadata"].get("labels") or {}
    region, zone = labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, "")
    return f"{region}/{zone}" if region or zone else ""


class Zone(NamedTuple):
    state: State
    size: int


class Census:
    """Which nodes of which zone are ready, kept by change. Nodes that are excluded from disruption do not
    count."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._counts: dict[str, list[int]] = {}

    def put(self, node: Obj) -> None:
        name = node["metadata"]["name"]
        self.drop(name)
        if EXCLUDED_LABEL not in (node["metadata"].get("labels") or {}):
            ready = health.ready_status(node) == "True"
            zone = zone_of(node)
            self._nodes[name] = (zone, ready)
            self._counts.setdefault(zone, [0, 0])[ready] += 1

    def drop(self, name: str) -> None:
        if name in self._nodes:
            zone, ready = self._nodes.pop(name)
            self._counts[zone][ready] -= 1
            if not any(self._counts[zone]):
                del self._counts[zone]

    def zones(self, rates: Rates) -> dict[str, Zone]:
        return {
            zone: Zone(_state(silent, ready, rates), silent + ready)
            for zone, (silent, ready) in self._counts.items()
        }


def _state(silent: int, ready: int, rates: Rates) -> State:
    if not ready:
        return State.FULL
    if silent >= LEAST_UNHEALTHY and silent / (silent + ready) >= rates.unhealthy:
        return State.PARTIAL
    return State.NORMAL


def all_silent(zones: dict[str, Zone]) -> bool:
    """Whether no node of the cluster is ready: then nothing is evicted anywhere."""
    return bool(zones) and all(zone.state is State.FULL for zone in zones.values())


def rate(zone: Zone, rates: Rates) -> float:
    """Nodes per second that may be given up."""
    if zone.state is not State.PARTIAL:
        return rates.usual
    return rates.reduced if zone.size > rates.large else 0.0


@dataclass
class Limiter:
    """A token bucket of one token: the first node goes at once. `now` is in seconds of any one clock."""

    rate: float
    tokens: float = 1.0
    at: float = field(default=0.0)

    def take(self, now: float) -> float | None:
        """0 when a node may go now; else seconds until one may, None while none ever may."""
        self._fill(now)
        if self.tokens >= 1:
            if self.rate <= 0:
                return None
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate if self.rate > 0 else None

    def change(self, rate: float, now: float) -> None:
        self._fill(now)
        self.rate = rate

    def _fill(self, now: float) -> None:
        self.tokens = min(1.0, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
