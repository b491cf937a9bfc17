"""Roles and their bindings. Their names are any text that fits into a path: `system:node` is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import CREATED_AT, NAME, Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

GROUP = "rbac.authorization.k8s.io"
KINDS = ("ServiceAccount", "User", "Group")


class Rbac(Strategy):
    allow_create_on_update = True
    name_rule = staticmethod(names.path_segment)


class Roles(Rbac):
    columns = (NAME, CREATED_AT)

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        for index, rule in enumerate(obj.get("rules") or ()):
            found += _rule(rule, f"rules[{index}]", self.resource.namespaced)
        aggregation = obj.get("aggregationRule")
        listed = (aggregation or {}).get("clusterRoleSelectors") or ()
        if aggregation is not None and not listed:
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            found.append(causes.required("aggregationRule.clusterRoleSelectors", detail))
        for index, selector in enumerate(listed):
            found += label_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")
        return found


def _rule(rule: Obj, path: str, namespaced: bool) -> list[Cause]:
    found = (
        []
        if rule.get("verbs")
        else [causes.required(f"{path}.verbs", "verbs must contain at least one value")]
    )
    if urls := rule.get("nonResourceURLs"):
        where = f"{path}.nonResourceURLs"
        if namespaced:
            found.append(causes.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(causes.invalid(where, urls, detail))
        return found
    for key, text in (("apiGroups", "api group"), ("resources", "resource")):
        if not rule.get(key):
            found.append(causes.required(f"{path}.{key}", f"resource rules must supply at least one {text}"))
    return found


class Bindings(Rbac):
    columns = cells.table(
        "Name", "Role", "Age", "Users:string:1", "Groups:string:1", "ServiceAccounts:string:1"
    )

    def default(self, obj: Obj) -> None:
        role = obj.setdefault("roleRef", {})
        role["apiGroup"] = role.get("apiGroup") or GROUP
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
                subject["apiGroup"] = GROUP

    def check(self, obj: Obj) -> list[Cause]:
        role = obj["roleRef"]
        kinds = ("Role", "ClusterRole") if self.resource.namespaced else ("ClusterRole",)
        found: list[Cause] = []
        if role["apiGroup"] != GROUP:
            found.append(causes.not_supported("roleRef.apiGroup", role["apiGroup"], (GROUP,)))
        if role.get("kind") not in kinds:
            found.append(causes.not_supported("roleRef.kind", role.get("kind", ""), kinds))
        if not role.get("name"):
            found.append(causes.required("roleRef.name"))
        else:
            found += values.named(role["name"], "roleRef.name", names.path_segment)
        for index, subject in enumerate(obj.get("subjects") or ()):
            found += _subject(subject, f"subjects[{index}]", self.resource.namespaced)
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        changed = new["roleRef"] != old["roleRef"]
        return self.check(new) + (
            [causes.invalid("roleRef", new["roleRef"], "cannot change roleRef")] if changed else []
        )

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        role = obj["roleRef"]
        subjects = obj.get("subjects") or ()
        users, groups = (_named(subjects, kind) for kind in ("User", "Group"))
        accounts = ", ".join(
            f"{entry.get('namespace') or obj['metadata'].get('namespace', '')}/{entry['name']}"
            for entry in subjects
            if entry.get("kind") == "ServiceAccount"
        )
        return [
            obj["metadata"]["name"], f"{role.get('kind')}/{role.get('name')}", cells.age(obj, now), users,
            groups, accounts,
        ]  # fmt: skip


def _named(subjects: Sequence[Obj], kind: str) -> str:
    return ", ".join(entry["name"] for entry in subjects if entry.get("kind") == kind)


def _subject(subject: Obj, path: str, namespaced: bool) -> list[Cause]:
    name, kind, group = subject.get("name", ""), subject.get("kind", ""), subject.get("apiGroup", "")
    found = [] if name else [causes.required(f"{path}.name")]
    if kind not in KINDS:
        return [*found, causes.not_supported(f"{path}.kind", kind, KINDS)]
    wanted = "" if kind == "ServiceAccount" else GROUP
    if kind == "ServiceAccount":
        found += values.named(name, f"{path}.name", names.dns_subdomain) if name else []
        if not namespaced and not subject.get("namespace"):
            found.append(causes.required(f"{path}.namespace"))
    if group != wanted:
        found.append(causes.not_supported(f"{path}.apiGroup", group, (wanted,)))
    return found


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CLUSTER_ROLE_BINDINGS: Bindings,
    resources.CLUSTER_ROLES: Roles,
    resources.ROLE_BINDINGS: Bindings,
    resources.ROLES: Roles,
}
