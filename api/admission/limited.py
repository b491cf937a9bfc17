"""What nobody may consume without a quota that covers it: the configuration of the ResourceQuota plugin.

Source: docs, "Resource Quotas", section "Limit Priority Class consumption by default"."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types.resources import Resource
from podium.api.types.scopes import in_scope, selectors

KIND = "ResourceQuotaConfiguration"
VERSIONS = {
    "apiserver.config.k8s.io/v1": KIND,
    "resourcequota.admission.k8s.io/v1beta1": "Configuration",
    "resourcequota.admission.k8s.io/v1alpha1": "Configuration",
}


class Limited(NamedTuple):
    """A resource, of which that is limited whose names contain one of `contains`, and that in `scopes`."""

    group: str
    plural: str
    contains: tuple[str, ...]
    scopes: tuple[Obj, ...]


def read(given: Mapping[str, Any]) -> tuple[Limited, ...]:
    """Raises ValueError."""
    version = given.get("apiVersion")
    if version not in VERSIONS or VERSIONS[version] != given.get("kind"):
        raise ValueError("must be a ResourceQuotaConfiguration of apiserver.config.k8s.io/v1")
    if unknown := given.keys() - {"apiVersion", "kind", "limitedResources"}:
        raise ValueError(f'unknown field "{min(unknown)}"')
    return tuple(_limited(entry, index) for index, entry in enumerate(given.get("limitedResources") or ()))


def _limited(entry: Mapping[str, Any], index: int) -> Limited:
    if not entry.get("resource"):
        raise ValueError(f"limitedResources[{index}].resource: Required value")
    return Limited(
        entry.get("apiGroup") or "",
        entry["resource"],
        tuple(entry.get("matchContains") or ()),
        tuple(entry.get("matchScopes") or ()),
    )


def uncovered(
    limits: Sequence[Limited], resource: Resource, obj: Obj, consumed: Collection[str], quotas: Iterable[Obj]
) -> str:
    """What of `consumed` (names as in a quota) or of the scopes that the object is in is limited and in no
    quota; "" for nothing."""
    mine = [each for each in limits if (each.group, each.plural) == (resource.group, resource.plural)]
    if not mine:
        return ""
    specs = [quota.get("spec") or {} for quota in quotas]
    covered = {name for spec in specs if in_scope(resource, obj, spec) for name in spec.get("hard") or ()}
    names = {name for each in mine for name in consumed if any(part in name for part in each.contains)}
    if missing := sorted(names - covered):
        return f"insufficient quota to consume: {','.join(missing)}"
    known = {scope["scopeName"] for spec in specs for scope in _matching(resource, obj, selectors(spec))}
    open_ = [
        scope
        for each in mine
        for scope in _matching(resource, obj, each.scopes)
        if scope["scopeName"] not in known
    ]
    return f"insufficient quota to match these scopes: [{' '.join(map(_shown, open_))}]" if open_ else ""


def _matching(resource: Resource, obj: Obj, scopes: Iterable[Obj]) -> Iterator[Obj]:
    for scope in scopes:
        if in_scope(resource, obj, {"scopeSelector": {"matchExpressions": [scope]}}):
            yield scope


def _shown(scope: Obj) -> str:
    return f"{{{scope['scopeName']} {scope.get('operator', '')} [{' '.join(scope.get('values') or ())}]}}"
