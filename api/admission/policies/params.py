"""The objects that a binding hands to its policy as `params`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from podium.api.admission.request import Lookup
from podium.api.kinds import Kinds
from podium.api.types import Obj
from podium.api.types.resources import Resource
from podium.api.types.selectors import from_label_selector


class Misconfigured(Exception):
    """A policy and its binding do not fit each other, or not the cluster."""


class Params:
    """Reads them from the store's memory."""

    def __init__(self, kinds: Kinds, lookup: Lookup, every: Callable[[Resource, str], Iterable[Obj]]) -> None:
        self._kinds = kinds
        self._lookup = lookup
        self._every = every

    def of(self, policy: Obj, binding: Obj, namespace: str) -> list[Obj | None]:
        """One evaluation for each; [None] for a policy or a binding without any. Raises Misconfigured."""
        kind, reference = policy["spec"].get("paramKind"), binding["spec"].get("paramRef")
        if not kind or not reference:
            return [None]
        resource = self._resource(kind)
        where = reference.get("namespace") or ""
        if where and not resource.namespaced:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        if resource.namespaced:
            where = where or namespace
            if not where:
                raise Misconfigured(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                )
        found = [typed(obj, resource) for obj in self._selected(resource, where, reference)]
        if not found and reference.get("parameterNotFoundAction") == "Deny":
            raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return [*found]

    def _resource(self, kind: Obj) -> Resource:
        group, _, version = kind["apiVersion"].rpartition("/")
        for each in self._kinds.versions.get((group, version), {}).values():
            if each.resource.kind == kind["kind"] and "list" in each.verbs:
                return each.resource
        raise Misconfigured(
            f"failed to find resource referenced by paramKind: '{kind['apiVersion']}, Kind={kind['kind']}'"
        )

    def _selected(self, resource: Resource, namespace: str, reference: Obj) -> list[Obj]:
        if name := reference.get("name"):
            one = self._lookup(resource, namespace, name)
            return [] if one is None else [one]
        selector = from_label_selector(reference.get("selector") or {})
        return [
            obj for obj in self._every(resource, namespace) if selector.matches(obj["metadata"].get("labels"))
        ]


def typed(obj: Obj, resource: Resource) -> Obj:
    """The object with its kind, which a stored one may lack."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
