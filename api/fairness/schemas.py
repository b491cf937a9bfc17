"""Which flow a request is of: FlowSchemas, compiled, asked in the order of their precedence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podium.api.auth.actions import Action
from podium.api.auth.tokens import PREFIX as ACCOUNT
from podium.api.auth.users import User
from podium.api.types import Obj

ALL = "*"


class Names(frozenset[str]):
    """Of which `*` is all."""

    def holds(self, name: str) -> bool:
        return ALL in self or name in self


class ResourceRule(NamedTuple):
    verbs: Names
    groups: Names
    resources: Names
    namespaces: Names
    wide: bool

    def fits(self, action: Action) -> bool:
        resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
        if not (self.verbs.holds(action.verb) and self.groups.holds(action.group)):
            return False
        if not self.resources.holds(resource):
            return False
        return self.namespaces.holds(action.namespace) if action.namespace else self.wide


class PathRule(NamedTuple):
    verbs: Names
    paths: tuple[str, ...]

    def fits(self, action: Action) -> bool:
        return self.verbs.holds(action.verb) and any(_leads_to(path, action.path) for path in self.paths)


class Rule(NamedTuple):
    users: Names
    groups: Names
    accounts: frozenset[str]
    namespaces: tuple[str, ...]
    resources: tuple[ResourceRule, ...]
    paths: tuple[PathRule, ...]

    def fits(self, user: User, action: Action) -> bool:
        rules: Sequence[ResourceRule | PathRule] = self.resources if action.resource else self.paths
        return self._is_of(user) and any(rule.fits(action) for rule in rules)

    def _is_of(self, user: User) -> bool:
        name = user.name
        if self.users.holds(name) or ALL in self.groups or not self.groups.isdisjoint(user.groups):
            return True
        return name in self.accounts or (bool(self.namespaces) and name.startswith(self.namespaces))


class FlowSchema(NamedTuple):
    """`distinguisher` is ByUser, ByNamespace, or "" for one flow of all its requests."""

    name: str
    uid: str
    level: str
    precedence: int
    distinguisher: str
    rules: tuple[Rule, ...]

    def fits(self, user: User, action: Action) -> bool:
        return any(rule.fits(user, action) for rule in self.rules)

    def flow_of(self, user: User, action: Action) -> str:
        """What tells its flows apart."""
        if self.distinguisher == "ByUser":
            return user.name
        return action.namespace if self.distinguisher == "ByNamespace" else ""


def compiled(obj: Obj) -> FlowSchema:
    meta, spec = obj["metadata"], obj["spec"]
    return FlowSchema(
        meta["name"],
        meta.get("uid", ""),
        spec["priorityLevelConfiguration"]["name"],
        spec["matchingPrecedence"],
        (spec.get("distinguisherMethod") or {}).get("type", ""),
        tuple(_rule(rule) for rule in spec.get("rules") or ()),
    )


def in_order(schemas: Iterable[FlowSchema]) -> list[FlowSchema]:
    """The order in which they are asked."""
    return sorted(schemas, key=lambda schema: (schema.precedence, schema.name))


def _rule(given: Obj) -> Rule:
    users, groups, accounts, namespaces = set(), set(), set(), set()
    for subject in given.get("subjects") or ():
        match subject:
            case {"kind": "User", "user": {"name": name}}:
                users.add(name)
            case {"kind": "Group", "group": {"name": name}}:
                groups.add(name)
            case {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": namespace}}:
                namespaces.add(f"{ACCOUNT}{namespace}:")
            case {"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": namespace}}:
                accounts.add(f"{ACCOUNT}{namespace}:{name}")
    return Rule(
        Names(users),
        Names(groups),
        frozenset(accounts),
        tuple(sorted(namespaces)),
        tuple(_resource_rule(rule) for rule in given.get("resourceRules") or ()),
        tuple(_path_rule(rule) for rule in given.get("nonResourceRules") or ()),
    )


def _resource_rule(given: Obj) -> ResourceRule:
    fields = ("verbs", "apiGroups", "resources", "namespaces")
    verbs, groups, resources, namespaces = (Names(given.get(field) or ()) for field in fields)
    return ResourceRule(verbs, groups, resources, namespaces, bool(given.get("clusterScope")))


def _path_rule(given: Obj) -> PathRule:
    return PathRule(Names(given.get("verbs") or ()), tuple(given.get("nonResourceURLs") or ()))


def _leads_to(pattern: str, path: str) -> bool:
    """A path is what is below it, too."""
    if pattern in (ALL, path):
        return True
    return path.startswith(pattern.removesuffix(ALL).removesuffix("/") + "/")
