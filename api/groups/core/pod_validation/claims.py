"""The claims for devices that a pod makes. Source: API reference, PodResourceClaim; KEP-4381."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MIRROR = "kubernetes.io/config.mirror"
_SOURCES = ("resourceClaimName", "resourceClaimTemplateName")


def check(claims: Sequence[Obj], path: str, meta: Obj) -> list[Cause]:
    """`meta` is the metadata of the pod, {} for a template."""
    if MIRROR in (meta.get("annotations") or {}):
        return [causes.forbidden("", "static pods do not support resource claims") for _ in claims]
    found: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        where, name = f"{path}[{index}]", claim.get("name", "")
        if not name:
            found.append(causes.required(f"{where}.name"))
        elif name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        else:
            found += values.named(name, f"{where}.name", names.dns_label)
            seen.add(name)
        found += _source(claim, where)
    return found


def _source(claim: Obj, path: str) -> list[Cause]:
    given = [key for key in _SOURCES if claim.get(key) is not None]
    found: list[Cause] = []
    if len(given) > 1:
        detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
        found.append(causes.invalid(path, claim, detail))
    if not given:
        detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
        found.append(causes.invalid(path, claim, detail))
    for key in given:
        found += values.named(claim[key], f"{path}.{key}", names.dns_subdomain)
    return found


def check_statuses(statuses: Sequence[Obj], claims: Sequence[Obj], path: str) -> list[Cause]:
    """What a pod's status says of its claims."""
    known = {claim.get("name") for claim in claims}
    found: list[Cause] = []
    seen: set[str] = set()
    for index, status in enumerate(statuses):
        where, name = f"{path}[{index}]", status.get("name", "")
        if name not in known:
            detail = "must match the name of an entry in `spec.resourceClaims`"
            found.append(causes.invalid(f"{where}.name", name, detail))
        if name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
        if (made := status.get("resourceClaimName")) is not None:
            found += values.named(made, f"{where}.resourceClaimName", names.dns_subdomain)
    return found
