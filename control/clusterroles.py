"""Gives ClusterRoles with an aggregationRule the rules of all the roles that it selects.

Source: kubernetes.io "Using RBAC Authorization", section "Aggregated ClusterRoles".
"""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import name_of
from podium.api.types.resources import CLUSTER_ROLES
from podium.api.types.selectors import from_label_selector
from podium.control.controller import Context, Controller


def selects(role: Obj, other: Obj) -> bool:
    """Whether `role` takes over the rules of `other`."""
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    labels = other["metadata"].get("labels")
    chosen = any(from_label_selector(selector).matches(labels) for selector in selectors)
    return chosen and name_of(role) != name_of(other)


def aggregated(role: Obj, roles: Iterable[Obj]) -> list[Obj]:
    """The rules of all roles that each of its selectors chooses, in the order of selectors and names, each
    once."""
    rules: list[Obj] = []
    by_name = sorted(roles, key=name_of)
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        matches = from_label_selector(selector).matches
        for other in by_name:
            if name_of(other) != name_of(role) and matches(other["metadata"].get("labels")):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


class ClusterRoleAggregation(Controller):
    name = "clusterrole-aggregation-controller"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.roles = self.watch(CLUSTER_ROLES, self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        present = [role for role in (old, new) if role is not None]
        if new is not None and new.get("aggregationRule"):
            yield name_of(new)
        for role in self.roles.list():
            if role.get("aggregationRule") and any(selects(role, entry) for entry in present):
                yield name_of(role)

    async def reconcile(self, key: str) -> None:
        role = self.roles.get(key)
        if role is None or not role.get("aggregationRule"):
            return
        rules = aggregated(role, self.roles.list())
        if rules == (role.get("rules") or []):
            return
        try:
            await self.client.update(CLUSTER_ROLES, {**role, "rules": rules})
        except StatusError as error:
            if error.code != 404:
                raise
