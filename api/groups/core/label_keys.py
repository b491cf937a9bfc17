"""matchLabelKeys and mismatchLabelKeys of a new pod: its own values of those labels become part of the label
selectors, once and for all.

Source: API reference, PodAffinityTerm and TopologySpreadConstraint; KEP-3633, KEP-3243.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from podium.api.types import Obj

KINDS = ("podAffinity", "podAntiAffinity")
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))


def merge(pod: Obj) -> None:
    """Changes the pod's spec in place."""
    labels = pod["metadata"].get("labels") or {}
    for part in (*_terms(pod["spec"]), *(pod["spec"].get("topologySpreadConstraints") or ())):
        selector = part.get("labelSelector")
        if selector is None:
            continue
        added = [
            *_expressions(part.get("matchLabelKeys"), "In", labels),
            *_expressions(part.get("mismatchLabelKeys"), "NotIn", labels),
        ]
        if added:
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _terms(spec: Obj) -> Iterator[Obj]:
    affinity = spec.get("affinity") or {}
    for kind in KINDS:
        part = affinity.get(kind) or {}
        yield from part.get(REQUIRED) or ()
        for entry in part.get(PREFERRED) or ():
            yield entry.get("podAffinityTerm") or {}


def _expressions(keys: Sequence[str] | None, operator: str, labels: Mapping[str, str]) -> list[Obj]:
    return [
        {"key": key, "operator": operator, "values": [labels[key]]} for key in keys or () if key in labels
    ]
