"""Rules of roles, and what they allow. Pure.

Source: API reference, rbac.authorization.k8s.io/v1 PolicyRule; docs, "Using RBAC Authorization"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podium.api.auth.actions import Action
from podium.api.types import Obj

EVERY = "*"
# Of a PolicyRule, in the order of a `Rule`.
FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


class Rule(NamedTuple):
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    paths: frozenset[str]

    def allows(self, action: Action) -> bool:
        if action.verb not in self.verbs and EVERY not in self.verbs:
            return False
        if not action.resource:
            return any(_path_covers(path, action.path) for path in self.paths)
        return (
            (action.group in self.groups or EVERY in self.groups)
            and self._names_resource(action)
            and (not self.names or action.name in self.names)
        )

    def _names_resource(self, action: Action) -> bool:
        if EVERY in self.resources:
            return True
        if not action.subresource:
            return action.resource in self.resources
        full = f"{action.resource}/{action.subresource}"
        return full in self.resources or f"*/{action.subresource}" in self.resources

    def written(self) -> Obj:
        """The PolicyRule."""
        return {field: sorted(part) for field, part in zip(FIELDS, self, strict=True) if part}

    def covers(self, grain: Grain) -> bool:
        if grain.verb not in self.verbs and EVERY not in self.verbs:
            return False
        if grain.path:
            return any(_path_covers(path, grain.path) for path in self.paths)
        _, slash, subresource = grain.resource.partition("/")
        return (
            (grain.group in self.groups or EVERY in self.groups)
            and (
                grain.resource in self.resources
                or EVERY in self.resources
                or (bool(slash) and f"*/{subresource}" in self.resources)
            )
            and (not self.names or (bool(grain.name) and grain.name in self.names))
        )


class Grain(NamedTuple):
    """The smallest part of a rule: one verb on one resource, with one name or for all, or on one path."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""


class Rules:
    """Of one role, or all that somebody has, with those made one that say the same of different objects or
    resources. They are found by what they are for."""

    __slots__ = ("_by_resource", "_of_paths", "all", "named")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.all = _merged(rules)
        self.named = any(rule.names for rule in self.all)
        self._of_paths = [rule for rule in self.all if rule.paths]
        self._by_resource: dict[str, list[Rule]] = {}
        for rule in self.all:
            for resource in rule.resources:
                self._by_resource.setdefault(resource, []).append(rule)

    def for_paths(self) -> list[list[Rule]]:
        return [self._of_paths] if self._of_paths else []

    def near(self, resource: str) -> list[list[Rule]]:
        """All that can allow something with `resource`, or `resource/subresource`, are among them."""
        _, slash, subresource = resource.partition("/")
        keys = (EVERY, resource, f"{EVERY}/{subresource}") if slash else (EVERY, resource)
        return [bucket for key in keys if (bucket := self._by_resource.get(key))]

    def candidates(self, action: Action) -> list[list[Rule]]:
        if not action.resource:
            return self.for_paths()
        return self.near(f"{action.resource}/{action.subresource}" if action.subresource else action.resource)


def _merged(rules: Iterable[Rule]) -> list[Rule]:
    found: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        shape: tuple[object, ...] = (rule.verbs, rule.groups, rule.paths)
        found.setdefault((*shape, rule.resources) if rule.names else shape, []).append(rule)
    return [_together(alike) for alike in found.values()]


def _together(rules: list[Rule]) -> Rule:
    if len(rules) == 1:
        return rules[0]
    names = frozenset().union(*(rule.names for rule in rules))
    return rules[0]._replace(resources=frozenset().union(*(rule.resources for rule in rules)), names=names)


def _path_covers(path: str, other: str) -> bool:
    return path == other or (path.endswith(EVERY) and other.startswith(path.rstrip(EVERY)))


def compiled(rules: Iterable[Obj]) -> Iterator[Rule]:
    """Of rbac/v1 PolicyRules. Thousands of them say the same of most fields: they share what they say."""
    shared: dict[tuple[str, ...], frozenset[str]] = {}
    for rule in rules:
        parts = []
        for field in FIELDS:
            given = tuple(rule.get(field) or ())
            part = shared.get(given)
            if part is None:
                part = shared[given] = frozenset(given)
            parts.append(part)
        yield Rule(*parts)
