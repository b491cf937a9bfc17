"""Which requests a webhook or a policy is meant for. Source: API reference, admissionregistration/v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from podium.api.admission.request import AdmissionRequest
from podium.api.types import Obj
from podium.api.types.errors import not_found
from podium.api.types.resources import NAMESPACES, Resource
from podium.api.types.selectors import from_label_selector

ADMISSION_GROUP = "admissionregistration.k8s.io"
# What decides on admission is not itself subject to it: nobody could take back a mistake.
EXEMPT = frozenset(
    {
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations",
        "validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
    }
)  # fmt: skip


def is_exempt(request: AdmissionRequest) -> bool:
    return request.resource.group == ADMISSION_GROUP and request.resource.plural in EXEMPT


def match_rules(
    rules: Iterable[Obj], request: AdmissionRequest, versions: Iterable[Resource], policy: str
) -> Resource | None:
    """The resource as which the request meets one of the rules: as itself or, where `policy` is Equivalent,
    as one of the other `versions` of the same objects."""
    rules = list(rules)
    if any(_meets(rule, request, request.resource) for rule in rules):
        return request.resource
    if policy == "Exact":
        return None
    for version in versions:
        if version != request.resource and any(_meets(rule, request, version) for rule in rules):
            return version
    return None


def _meets(rule: Obj, request: AdmissionRequest, resource: Resource) -> bool:
    return (
        _in(request.operation, rule.get("operations"))
        and _in(resource.group, rule.get("apiGroups"))
        and _in(resource.version, rule.get("apiVersions"))
        and any(_names(entry, resource.plural, request.subresource) for entry in rule.get("resources") or ())
        and _in_scope(rule.get("scope") or "*", resource)
        and (not rule.get("resourceNames") or request.name in rule["resourceNames"])
    )


def _in(value: str, accepted: list[str] | None) -> bool:
    return "*" in (accepted or ()) or value in (accepted or ())


def _names(entry: str, plural: str, subresource: str) -> bool:
    """`*` are all resources without subresources, `*/*` all with them, `pods/*` and `*/scale` as they
    read."""
    wanted, _, part = entry.partition("/")
    return (
        wanted in ("*", plural) and part in ("*", subresource)
        if "/" in entry
        else (wanted in ("*", plural) and not subresource)
    )


def _in_scope(scope: str, resource: Resource) -> bool:
    # A namespace is its own namespace, and yet an object of the cluster.
    return scope == "*" or (scope == "Namespaced") == resource.namespaced


def namespace_of(request: AdmissionRequest, lookup: Any) -> Obj | None:
    """The namespace that a request is about; None where it is about none. Raises 404."""
    if request.resource is NAMESPACES or (
        request.resource.plural == NAMESPACES.plural and not request.resource.group
    ):
        if request.operation in ("CREATE", "UPDATE") and not request.subresource:
            return request.obj
        return request.old or lookup(NAMESPACES, "", request.name)
    if not request.namespace:
        return None
    found: Obj | None = lookup(NAMESPACES, "", request.namespace)
    if found is None:
        raise not_found(NAMESPACES.plural, request.namespace)
    return found


def selects_namespace(selector: Obj | None, request: AdmissionRequest, lookup: Any) -> bool:
    if not selector:
        return True
    namespace = namespace_of(request, lookup)
    # Objects of the cluster are in no namespace that could be left out.
    return namespace is None or from_label_selector(selector).matches(_labels(namespace))


def selects_object(selector: Obj | None, request: AdmissionRequest) -> bool:
    """Either of the new and the old one is enough, so that nobody gets out by taking a label off."""
    if not selector:
        return True
    wanted = from_label_selector(selector)
    return any(
        obj is not None and "metadata" in obj and wanted.matches(_labels(obj))
        for obj in (request.obj, request.old)
    )


def _labels(obj: Obj) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}
