"""The scopes of ResourceQuotas: which pods and claims one is about.

Source: kubernetes.io "Resource Quotas", section "Quota scopes"; KEP-2136 (cross-namespace affinity), KEP-3751
(volume attributes).
"""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS, Resource

VOLUME_ATTRIBUTES = "VolumeAttributesClass"


def selectors(spec: Obj) -> list[Obj]:
    """A quota's scopes in the longer of their two forms."""
    short = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    return [*short, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def in_scope(resource: Resource, obj: Obj, spec: Obj) -> bool:
    """Whether a quota is about an object: all its scopes must hold; they are about pods and claims alone."""
    scopes = selectors(spec)
    if not scopes:
        return True
    if resource is PODS:
        return all(_holds_of_pod(scope, obj) for scope in scopes)
    if resource is PERSISTENT_VOLUME_CLAIMS:
        return all(_holds_of_claim(scope, obj) for scope in scopes)
    return False


def _holds_of_pod(scope: Obj, pod: Obj) -> bool:
    spec = pod["spec"]
    match scope["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return is_best_effort(spec)
        case "NotBestEffort":
            return not is_best_effort(spec)
        case "PriorityClass":
            name = spec.get("priorityClassName")
            return _selects(scope, {name} if name else set())
        case "CrossNamespacePodAffinity":
            return any(map(_crosses, _affinity_terms(spec)))
    return False


def _holds_of_claim(scope: Obj, claim: Obj) -> bool:
    """A claim counts for each class of attributes that it wants, has or is getting."""
    if scope["scopeName"] != VOLUME_ATTRIBUTES:
        return False
    status = claim.get("status") or {}
    names = {
        claim["spec"].get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    return _selects(scope, {name for name in names if name})


def _selects(scope: Obj, names: set[str]) -> bool:
    given = set(scope.get("values") or ())
    match scope.get("operator"):
        case "In":
            return bool(names & given)
        case "NotIn":
            return not names & given
        case "Exists":
            return bool(names)
    return not names


def is_best_effort(spec: Obj) -> bool:
    """Whether a pod asks for no cpu and no memory anywhere."""
    parts = [spec, *(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return not any(
        amount not in ("0", 0)
        for part in parts
        for key in ("requests", "limits")
        for name, amount in ((part.get("resources") or {}).get(key) or {}).items()
        if name in ("cpu", "memory")
    )


def _affinity_terms(spec: Obj) -> Iterable[Obj]:
    for key in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(key) or {}
        yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}


def _crosses(term: Obj) -> bool:
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None
