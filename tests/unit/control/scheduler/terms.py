"""Parts of pod specs that speak of other pods."""

from __future__ import annotations

from typing import Any

HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def term(labels: dict[str, str], topology: str = HOST, **more: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": labels}, "topologyKey": topology, **more}


def near(labels: dict[str, str], topology: str = HOST, **more: Any) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {REQUIRED: [term(labels, topology, **more)]}}}


def anti_affinity(labels: dict[str, str], topology: str = HOST, **more: Any) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: [term(labels, topology, **more)]}}}


def drawn(labels: dict[str, str], topology: str = HOST, *, weight: int = 100) -> dict[str, Any]:
    part = "podAffinity" if weight > 0 else "podAntiAffinity"
    entry = {"weight": abs(weight), "podAffinityTerm": term(labels, topology)}
    return {"affinity": {part: {PREFERRED: [entry]}}}


def spread(
    labels: dict[str, str], topology: str = HOST, *, action: str = "DoNotSchedule", **more: Any
) -> dict[str, Any]:
    constraint = {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": action,
        "labelSelector": {"matchLabels": labels},
        **more,
    }
    return {"topologySpreadConstraints": [constraint]}
