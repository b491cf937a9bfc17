"""Topology spread: how evenly pods like this one are over the domains of a topology key.

Source: "Pod Topology Spread Constraints" in the Kubernetes documentation, with its cluster-level defaults.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from podium.api.types.selectors import NOTHING, Selector
from podium.control.scheduler.census import Domain, Group, View
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Shape
from podium.control.scheduler.picture import NodePicture, Picture
from podium.control.scheduler.profiles import Profile
from podium.control.scheduler.terms import HOSTNAME, Spread, Term

_NAME = "PodTopologySpread"
_SKEWED = Failure(_NAME, ("node(s) didn't match pod topology spread constraints",), resolvable=True)
_NO_LABEL = Failure(_NAME, ("node(s) didn't match pod topology spread constraints (missing required label)",))


class _Hard(NamedTuple):
    """`own` is 1 where the pod itself would count."""

    spread: Spread
    view: View
    own: int


class _Soft(NamedTuple):
    spread: Spread
    view: View


class Spreading:
    """One shape's constraints; the views follow the picture until the next epoch. `selector` chooses the
    pods of the same owners, for the default constraints."""

    def __init__(self, shape: Shape, picture: Picture, profile: Profile, selector: Selector | None) -> None:
        self._shape, self._picture = shape, picture
        hard, soft = shape.hard_spread, shape.soft_spread
        if not shape.own_spread:
            hard, soft = _filled(profile.default_hard, selector), _filled(profile.default_soft, selector)
        self._all_keys = shape.own_spread or not profile.system_defaults
        keys = tuple(entry.topology for entry in hard)
        self._hard = [
            _Hard(entry, self._view(entry, keys), int(entry.selector.matches(shape.labels))) for entry in hard
        ]
        self._soft_keys = tuple(entry.topology for entry in soft) if self._all_keys else ()
        self._soft = [_Soft(entry, self._soft_view(entry)) for entry in soft]
        self._least: list[float] = []
        self.filters, self.scores = bool(hard), bool(soft)

    def _view(self, spread: Spread, keys: tuple[str, ...]) -> View:
        shape = self._shape
        domain = Domain(
            spread.topology,
            keys,
            shape.footprint.required if spread.honor_affinity else None,
            shape.footprint.tolerations if spread.honor_taints else None,
        )
        # An empty selector is one that counts nobody.
        counted = NOTHING if spread.selector.everything else spread.selector
        term = Term("", counted, frozenset((shape.namespace,)))
        return self._picture.group_view(Group((term,), living=True), domain)

    def _soft_view(self, spread: Spread) -> View:
        if spread.topology == HOSTNAME:
            spread = spread._replace(honor_affinity=False, honor_taints=False)
            return self._view(spread, ())
        return self._view(spread, self._soft_keys)

    def refresh(self) -> None:
        """To be called before `check` whenever a pod came or went: finds the emptiest domains."""
        self._least = [
            0
            if len(entry.view.counts) < entry.spread.min_domains
            else min(entry.view.counts.values(), default=math.inf)
            for entry in self._hard
        ]

    def check(self, node: NodePicture) -> Failure | None:
        for (spread, view, own), least in zip(self._hard, self._least, strict=True):
            value = node.labels.get(spread.topology)
            if value is None:
                return _NO_LABEL
            if view.counts.get(value, 0) + own - least > spread.max_skew:
                return _SKEWED
        return None

    def scored(self, nodes: Sequence[NodePicture]) -> list[int]:
        """0 to 100 for each node."""
        keys = self._soft_keys
        counted = [node for node in nodes if all(key in node.labels for key in keys)] if keys else nodes
        if not counted:
            return [0] * len(nodes)
        parts = [
            (
                entry.spread.topology,
                entry.view.counts,
                self._weight(entry, counted),
                entry.spread.max_skew - 1,
            )
            for entry in self._soft
        ]
        sums: dict[str, int] = {}
        for node in counted:
            labels = node.labels
            total = 0.0
            for topology, counts, weight, extra in parts:
                value = labels.get(topology)
                if value is not None:
                    total += counts.get(value, 0) * weight + extra
            sums[node.name] = math.floor(total + 0.5)
        most, least = max(sums.values()), min(sums.values())
        if most == 0:
            return [100 if node.name in sums else 0 for node in nodes]
        return [100 * (most + least - sums[node.name]) // most if node.name in sums else 0 for node in nodes]

    @staticmethod
    def _weight(entry: _Soft, nodes: Sequence[NodePicture]) -> float:
        """So that a difference among a few zones counts no less than one among many hosts."""
        key = entry.spread.topology
        size = len(nodes) if key == HOSTNAME else len({node.labels.get(key, "") for node in nodes})
        return math.log(size + 2)


def _filled(spreads: tuple[Spread, ...], selector: Selector | None) -> tuple[Spread, ...]:
    if selector is None:
        return ()
    return tuple(entry._replace(selector=selector) for entry in spreads)
