"""A pod's quality of service. Source: "Pod Quality of Service Classes"."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from podium.api.types import Obj, quantity


def qos_class(spec: Obj) -> str:
    """Guaranteed when every container's requests equal its limits for cpu and memory; BestEffort when nothing
    is said. What the pod says for itself as a whole counts in place of its containers."""
    entries = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    pod_level = spec.get("resources") or {}
    if pod_level.get("requests") or pod_level.get("limits"):
        entries = [{"resources": pod_level}]
    said, guaranteed = False, True
    for entry in entries:
        resources = entry.get("resources") or {}
        limits, requests = (_amounts(resources.get(key)) for key in ("limits", "requests"))
        said = said or bool(limits or requests)
        if len(limits) < 2 or {**limits, **requests} != limits:
            guaranteed = False
    if not said:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(resources: Mapping[str, str] | None) -> dict[str, Decimal]:
    listed = resources or {}
    amounts = {name: quantity.parse(listed[name]) for name in ("cpu", "memory") if name in listed}
    return {name: amount for name, amount in amounts.items() if amount}
