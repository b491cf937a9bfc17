"""What a pod asks about other pods: affinity and anti-affinity terms and topology spread constraints,
compiled once per pod.

Source: API reference, PodAffinityTerm and TopologySpreadConstraint; KEP-3633 (matchLabelKeys of terms),
KEP-3094 (inclusion policies), KEP-3022 (minDomains).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.selectors import NOTHING, Requirement, Selector, from_label_selector
from podium.control.scheduler.labels import NONE, Labels

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
NamespaceLabels = Mapping[str, Labels]
"""Namespace → its labels."""


class Term(NamedTuple):
    """Pods of some namespaces that have some labels, in one domain of a topology key."""

    topology: str
    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector = NOTHING

    def accepts(self, namespace: str, labels: Labels, namespaces: NamespaceLabels) -> bool:
        """Whether a pod with `labels` in `namespace` is one of those."""
        if namespace not in self.namespaces and not self.namespace_selector.matches(
            namespaces.get(namespace, NONE)
        ):
            return False
        return self.selector.matches(labels)


class Weighted(NamedTuple):
    """A preferred term; `weight` is negative for anti-affinity."""

    term: Term
    weight: int


class Terms(NamedTuple):
    """A pod's own terms."""

    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    preferred: tuple[Weighted, ...] = ()


class Spread(NamedTuple):
    """One topology spread constraint."""

    topology: str
    max_skew: int
    selector: Selector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


NO_TERMS = Terms()


def terms_of(pod: Obj) -> Terms:
    affinity = pod["spec"].get("affinity")
    if not affinity:
        return NO_TERMS
    near, away = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not near and not away:
        return NO_TERMS
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    meta = pod["metadata"]
    weighted = [
        Weighted(_term(entry["podAffinityTerm"], meta), sign * entry["weight"])
        for part, sign in ((near, 1), (away, -1))
        for entry in part.get(preferred) or ()
    ]
    return Terms(
        tuple(_term(entry, meta) for entry in near.get(required) or ()),
        tuple(_term(entry, meta) for entry in away.get(required) or ()),
        tuple(weighted),
    )


def _term(entry: Obj, meta: Obj) -> Term:
    named, chosen = entry.get("namespaces") or (), entry.get("namespaceSelector")
    own = (meta.get("namespace", ""),) if not named and chosen is None else ()
    labels = meta.get("labels") or {}
    selector = _narrowed(from_label_selector(entry.get("labelSelector")), entry.get("matchLabelKeys"), labels)
    selector = _narrowed(selector, entry.get("mismatchLabelKeys"), labels, "NotIn")
    return Term(
        entry["topologyKey"], selector, frozenset(named) | frozenset(own), from_label_selector(chosen)
    )


def _narrowed(
    selector: Selector, keys: Sequence[str] | None, labels: Mapping[str, str], operator: str = "In"
) -> Selector:
    """`selector`, and in addition the pod's own values of `keys`. What the API server has merged already is
    not merged again."""
    if selector.nothing:
        return selector
    more = tuple(Requirement(key, operator, (labels[key],)) for key in keys or () if key in labels)
    fresh = tuple(entry for entry in more if entry not in selector.requirements)
    return Selector(selector.requirements + fresh) if fresh else selector


def spreads_of(pod: Obj, action: str) -> tuple[Spread, ...]:
    """The constraints with whenUnsatisfiable `action`."""
    labels = pod["metadata"].get("labels") or {}
    return tuple(
        Spread(
            entry["topologyKey"],
            entry["maxSkew"],
            _narrowed(from_label_selector(entry.get("labelSelector")), entry.get("matchLabelKeys"), labels),
            entry.get("minDomains") or 1,
            entry.get("nodeAffinityPolicy", "Honor") == "Honor",
            entry.get("nodeTaintsPolicy", "Ignore") == "Honor",
        )
        for entry in pod["spec"].get("topologySpreadConstraints") or ()
        if entry["whenUnsatisfiable"] == action
    )
