"""A scheduler profile: which filters and scores take part, and how.

Source: KubeSchedulerConfiguration v1 (kubescheduler.config.k8s.io), "Scheduler Configuration" in the
Kubernetes documentation. Names, order, weights and defaults are the ones documented there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from podium.api.types.affinity import Preferred, Required
from podium.api.types.selectors import NOTHING
from podium.control.scheduler.needs import DEFAULT_SCHEDULER
from podium.control.scheduler.terms import HOSTNAME, ZONE, Spread

FILTERS = (
    "NodeUnschedulable",
    "NodeName",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeBinding",
    "VolumeZone",
    "PodTopologySpread",
    "InterPodAffinity",
)
"""In the order in which they are asked."""

SCORES = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodeResourcesFit": 1,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
}
PREEMPTION = "DefaultPreemption"
OTHERS = ("SchedulingGates", "PrioritySort", "DefaultBinder", PREEMPTION)

Strategy: TypeAlias = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]
Resources: TypeAlias = tuple[tuple[str, int], ...]
"""(resource, weight)."""
CPU_AND_MEMORY: Resources = (("cpu", 1), ("memory", 1))


@dataclass(frozen=True)
class Fit:
    """How full nodes are scored. `shape` holds (utilisation in percent, score of 0 to 100) in ascending
    order, for RequestedToCapacityRatio."""

    strategy: Strategy = "LeastAllocated"
    resources: Resources = CPU_AND_MEMORY
    shape: tuple[tuple[int, int], ...] = ()
    ignored: frozenset[str] = frozenset()
    ignored_groups: frozenset[str] = frozenset()

    def ignores(self, resource: str) -> bool:
        if resource in self.ignored:
            return True
        return bool(self.ignored_groups) and resource.partition("/")[0] in self.ignored_groups


SYSTEM_SPREAD = (Spread(HOSTNAME, 3, NOTHING), Spread(ZONE, 5, NOTHING))
"""What pods of one Service, ReplicaSet, ... prefer where they say nothing themselves."""


@dataclass(frozen=True)
class Profile:
    """`scores` maps names to weights. `default_soft` and `default_hard` are constraints for pods without
    any of their own; their selectors are filled in with the pods' owners'. `percentage` of the nodes are
    scored, 0 for as many as their number suggests."""

    name: str = DEFAULT_SCHEDULER
    filters: frozenset[str] = frozenset(FILTERS)
    scores: Mapping[str, int] = field(default_factory=lambda: dict(SCORES))
    preempts: bool = True
    fit: Fit = Fit()
    balanced: Resources = CPU_AND_MEMORY
    hard_affinity_weight: int = 1
    ignore_others_preferences: bool = False
    added_affinity: Required | None = None
    added_preferences: tuple[Preferred, ...] = ()
    default_soft: tuple[Spread, ...] = SYSTEM_SPREAD
    default_hard: tuple[Spread, ...] = ()
    system_defaults: bool = True
    bind_timeout: float = 600.0
    candidates_percentage: int = 10
    candidates_least: int = 100
    percentage: int = 0


@dataclass(frozen=True)
class SchedulerConfig:
    """All profiles by name, and the back-off of pods that found no node, seconds."""

    profiles: Mapping[str, Profile] = field(default_factory=lambda: {DEFAULT_SCHEDULER: Profile()})
    initial_backoff: float = 1.0
    max_backoff: float = 10.0
