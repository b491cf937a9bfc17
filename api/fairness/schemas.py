"""Which flow a request is of: FlowSchemas, compiled, asked in the order of their precedence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    """Of whoever it is for, which its schema knows."""

    resources: tuple[ResourceRule, ...]
    paths: tuple[PathRule, ...]

    def fits(self, action: Action) -> bool:
        rules: Sequence[ResourceRule | PathRule] = self.resources if action.resource else self.paths
        return any(rule.fits(action) for rule in rules)


class Subjects(NamedTuple):
    """The rules by whom they are for: names of users (accounts are users), groups, and what the names of a
    namespace's accounts begin with."""

    users: dict[str, list[Rule]]
    groups: dict[str, list[Rule]]
    namespaces: dict[str, list[Rule]]

    def of(self, user: User) -> Iterator[Rule]:
        for name in (user.name, ALL):
            yield from self.users.get(name, ())
        for group in (*user.groups, ALL):
            yield from self.groups.get(group, ())
        if self.namespaces and user.name.startswith(ACCOUNT):
            yield from self.namespaces.get(user.name[: user.name.rfind(":") + 1], ())


class FlowSchema(NamedTuple):
    """`distinguisher` is ByUser, ByNamespace, or "" for one flow of all its requests."""

    name: str
    uid: str
    level: str
    precedence: int
    distinguisher: str
    subjects: Subjects

    def fits(self, user: User, action: Action) -> bool:
        return any(rule.fits(action) for rule in self.subjects.of(user))

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
        _by_subject(spec.get("rules") or ()),
    )


def in_order(schemas: Iterable[FlowSchema]) -> list[FlowSchema]:
    """The order in which they are asked."""
    return sorted(schemas, key=lambda schema: (schema.precedence, schema.name))


def _by_subject(rules: Iterable[Obj]) -> Subjects:
    made = Subjects({}, {}, {})
    for given in rules:
        rule = _rule(given)
        for subject in given.get("subjects") or ():
            where, name = _place(made, subject)
            where.setdefault(name, []).append(rule)
    return made


def _place(made: Subjects, subject: Obj) -> tuple[dict[str, list[Rule]], str]:
    match subject:
        case {"kind": "User", "user": {"name": name}}:
            return made.users, name
        case {"kind": "Group", "group": {"name": name}}:
            return made.groups, name
        case {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": namespace}}:
            return made.namespaces, f"{ACCOUNT}{namespace}:"
    account = subject["serviceAccount"]
    return made.users, f"{ACCOUNT}{account['namespace']}:{account['name']}"


def _rule(given: Obj) -> Rule:
    return Rule(
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
