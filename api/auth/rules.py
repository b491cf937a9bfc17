"""Rules of roles: what they allow, and whether some are covered by others. Pure.

Source: API reference, rbac.authorization.k8s.io/v1 PolicyRule; docs, "Using RBAC Authorization"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from podium.api.auth.actions import Action
from podium.api.types import Obj

EVERY = "*"


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


def _path_covers(path: str, other: str) -> bool:
    return path == other or (path.endswith(EVERY) and other.startswith(path.rstrip(EVERY)))


def compiled(rule: Obj) -> Rule:
    """Of an rbac/v1 PolicyRule."""
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return Rule(*(frozenset(rule.get(field) or ()) for field in fields))


def grains(rule: Obj) -> Iterator[Grain]:
    """In the order in which the rule lists them."""
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or ("",):
                    yield Grain(verb, group, resource, name)
    for path in rule.get("nonResourceURLs") or ():
        for verb in rule["verbs"]:
            yield Grain(verb, path=path)


def uncovered(owned: Sequence[Rule], wanted: Iterable[Obj]) -> list[Grain]:
    """What `wanted` (PolicyRules) allow and no single one of `owned` does."""
    return [grain for rule in wanted for grain in grains(rule) if not any(own.covers(grain) for own in owned)]


def described(missing: Iterable[Grain]) -> list[str]:
    """A line for each resource or path, sorted."""
    lines, verbs = set(), dict[Grain, list[str]]()
    for grain in missing:
        if grain.path:
            lines.add(f"{{NonResourceURLs:{_quoted(grain.path)}, Verbs:{_quoted(grain.verb)}}}")
        else:
            verbs.setdefault(grain._replace(verb=""), []).append(grain.verb)
    for grain, allowed in verbs.items():
        named = f", ResourceNames:{_quoted(grain.name)}" if grain.name else ""
        where = f"APIGroups:{_quoted(grain.group)}, Resources:{_quoted(grain.resource)}{named}"
        lines.add(f"{{{where}, Verbs:{_quoted(*allowed)}}}")
    return sorted(lines)


def _quoted(*texts: str) -> str:
    return "[" + " ".join(orjson.dumps(text).decode() for text in texts) + "]"
