"""Pod affinity and anti-affinity: the pod's own terms against who is where, and the terms of those who are
there against the pod.

Source: "Inter-pod affinity and anti-affinity" in the Kubernetes documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.control.scheduler.census import Domain, Group, View
from podium.control.scheduler.failure import Failure
from podium.control.scheduler.needs import Shape
from podium.control.scheduler.picture import NodePicture, Picture
from podium.control.scheduler.profiles import Profile
from podium.control.scheduler.terms import Term

_NAME = "InterPodAffinity"
_AFFINITY = Failure(_NAME, ("node(s) didn't match pod affinity rules",))
_ANTI = Failure(_NAME, ("node(s) didn't match pod anti-affinity rules",), resolvable=True)
_EXISTING = Failure(_NAME, ("node(s) didn't satisfy existing pods anti-affinity rules",), resolvable=True)


class _Pull(NamedTuple):
    """Each pod counted in `view` draws to its domain with `weight`, or away when that is negative."""

    topology: str
    view: View
    weight: int


class Neighbours:
    """One shape's affinity; its views follow the picture until the next epoch."""

    def __init__(self, shape: Shape, picture: Picture, profile: Profile) -> None:
        self._shape, self._picture = shape, picture
        terms = shape.terms
        self._affinity = [
            (term.topology, picture.group_view(Group(terms.affinity), Domain(term.topology)))
            for term in terms.affinity
        ]
        self._anti = [self._own(term) for term in terms.anti_affinity]
        self._existing = self._existing_anti()
        self._pulls = self._own_pulls()
        if self._pulls or not profile.ignore_others_preferences:
            self._pulls += self._existing_pulls(profile.hard_affinity_weight)
        self._self = all(self._accepts(term) for term in terms.affinity)
        self.filters = bool(self._affinity or self._anti or self._existing)
        self.scores = bool(self._pulls)

    def _own(self, term: Term) -> tuple[str, View]:
        return term.topology, self._picture.group_view(Group((term,)), Domain(term.topology))

    def _accepts(self, term: Term) -> bool:
        namespaces = self._picture.census.namespaces
        return term.accepts(self._shape.namespace, self._shape.labels, namespaces)

    def _existing_anti(self) -> list[tuple[str, View]]:
        return [
            (use.term.topology, self._picture.use_view(use))
            for use in self._picture.census.uses
            if use.kind == "anti-affinity" and self._accepts(use.term)
        ]

    def _own_pulls(self) -> list[_Pull]:
        return [_Pull(*self._own(entry.term), entry.weight) for entry in self._shape.terms.preferred]

    def _existing_pulls(self, hard_weight: int) -> list[_Pull]:
        weights = {"affinity": hard_weight, "anti-affinity": 0}
        return [
            _Pull(use.term.topology, self._picture.use_view(use), weight)
            for use in self._picture.census.uses
            if (weight := weights.get(use.kind, use.weight)) and self._accepts(use.term)
        ]

    def check(self, node: NodePicture) -> Failure | None:
        labels = node.labels
        near = True
        for topology, view in self._affinity:
            value = labels.get(topology)
            if value is None:
                return _AFFINITY
            near = near and view.counts.get(value, 0) > 0
        if not near and not self._is_first():
            return _AFFINITY
        for topology, view in self._anti:
            if view.counts.get(labels.get(topology, ""), 0) > 0:
                return _ANTI
        for topology, view in self._existing:
            if view.counts.get(labels.get(topology, ""), 0) > 0:
                return _EXISTING
        return None

    def _is_first(self) -> bool:
        """Whether nobody is there yet whom the pod wants to be near, and it is one of those itself: the
        first of a series must not wait for itself."""
        return self._self and not any(view.total for _, view in self._affinity)

    def scored(self, nodes: Sequence[NodePicture]) -> list[int]:
        """0 to 100 for each node."""
        pulls = [(topology, view.counts, weight) for topology, view, weight in self._pulls]
        sums = []
        for node in nodes:
            labels = node.labels
            total = 0
            for topology, counts, weight in pulls:
                value = labels.get(topology)
                if value is not None:
                    total += weight * counts.get(value, 0)
            sums.append(total)
        least, most = min(sums), max(sums)
        if least == most:
            return [0] * len(sums)
        return [int(100 * (entry - least) / (most - least)) for entry in sums]
