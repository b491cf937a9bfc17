"""Requests and limits of a pod as a whole. Source: KEP-2837."""

from __future__ import annotations

from podium.api.groups.core.pod_validation import resources
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.types.requests import is_pod_level
from podium.api.types.usage import pod_total
from podium.api.validation import causes


def check(spec: Obj, path: str) -> list[Cause]:
    """The faults of a PodSpec's `resources`, by themselves and beside its containers'."""
    wanted = spec.get("resources")
    if not wanted:
        return []
    where = f"{path}.resources"
    if (spec.get("os") or {}).get("name") == "windows":
        return [causes.forbidden(where, "may not be set for a windows pod")]
    found = []
    if wanted.get("claims") is not None:
        detail = "claims may not be set for Resources at pod-level"
        found.append(causes.forbidden(f"{where}.claims", detail))
    for key in ("limits", "requests"):
        found += [
            causes.not_supported(f"{where}.{key}[{name}]", name, ("cpu", "hugepages-", "memory"))
            for name in wanted.get(key) or ()
            if not is_pod_level(name)
        ]
    if found:
        return found
    return resources.check(wanted, where) + _beside_containers(spec, wanted, where)


def _beside_containers(spec: Obj, wanted: Obj, path: str) -> list[Cause]:
    own = {key: value for key, value in spec.items() if key != "resources"}
    found = _at_least(pod_total(own, "requests"), wanted.get("requests") or {}, path, "requests")
    limits = wanted.get("limits") or {}
    huge = {
        name: amount for name, amount in pod_total(own, "limits").items() if name.startswith("hugepages-")
    }
    found += _at_least(huge, limits, path, "limits")
    for index, container in enumerate(spec.get("containers") or ()):
        for name, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
                where = f"{path}.containers[{index}][{name}].limits"
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                found.append(causes.invalid(where, str(amount), detail))
    return found


def _at_least(sums: Obj, given: Obj, path: str, key: str) -> list[Cause]:
    return [
        causes.invalid(
            f"{path}.{key}[{name}]",
            str(given[name]),
            f"must be greater than or equal to aggregate container {key} of {amount}",
        )
        for name, amount in sums.items()
        if name in given and quantity.parse(amount) > quantity.parse(given[name])
    ]
