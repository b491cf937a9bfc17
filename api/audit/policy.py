"""Which requests are recorded, and how much of them: audit.k8s.io/v1 Policy, read and judged.

The first rule that fits decides; what no rule fits is not recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from podium.api.auth.users import User

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
VERSION = "audit.k8s.io/v1"
FIELDS = {
    "level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages",
    "omitManagedFields",
}  # fmt: skip


class PolicyError(Exception):
    """What is wrong with a policy, and where."""


class Asked(NamedTuple):
    """What a request is about; `resource` is "" for what is none."""

    verb: str
    path: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class Decision(NamedTuple):
    """`level` is the place in LEVELS. `omit` are stages."""

    level: int
    omit: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


NOTHING = Decision(0)


class GroupResources(NamedTuple):
    group: str
    resources: tuple[str, ...]
    names: tuple[str, ...]

    def fits(self, asked: Asked) -> bool:
        if self.group not in (asked.group, "*"):
            return False
        if not self.resources:
            return True
        if self.names and asked.name not in self.names:
            return False
        return any(_names(pattern, asked) for pattern in self.resources)


class Rule(NamedTuple):
    decision: Decision
    users: frozenset[str]
    groups: frozenset[str]
    verbs: frozenset[str]
    resources: tuple[GroupResources, ...]
    namespaces: frozenset[str]
    urls: tuple[str, ...]

    def fits(self, user: User | None, asked: Asked) -> bool:
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return self._fits_resource(asked)
        if self.urls:
            return not asked.resource and any(_leads_to(url, asked.path) for url in self.urls)
        return True

    def _fits_resource(self, asked: Asked) -> bool:
        if not asked.resource or (self.namespaces and asked.namespace not in self.namespaces):
            return False
        return not self.resources or any(each.fits(asked) for each in self.resources)


class Policy:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    def decide(self, user: User | None, asked: Asked) -> Decision:
        for rule in self._rules:
            if rule.fits(user, asked):
                return rule.decision
        return NOTHING


def _names(pattern: str, asked: Asked) -> bool:
    """`pods`, `pods/log`, `pods/*`, `*/scale`, and `*` for everything."""
    combined = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    if pattern in ("*", combined):
        return True
    resource, slash, subresource = pattern.partition("/")
    if not slash:
        return False
    if resource == "*" and asked.subresource:
        return subresource == asked.subresource
    return subresource == "*" and resource == asked.resource


def _leads_to(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def read_policy(text: str) -> Policy:
    """Raises PolicyError."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PolicyError(f"not YAML: {error}") from None
    if not isinstance(given, dict):
        raise PolicyError("not an object")
    if given.get("apiVersion") != VERSION or given.get("kind") != "Policy":
        found = f"{given.get('apiVersion')}, {given.get('kind')}"
        raise PolicyError(f"apiVersion, kind: must be {VERSION}, Policy; found {found}")
    _known(given, {"apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"}, "")
    rules = given.get("rules") or []
    if not isinstance(rules, list) or not rules:
        raise PolicyError("rules: Required value: a policy without rules records nothing")
    stages = _stages(given, "omitStages")
    managed = _flag(given, "omitManagedFields", False)
    return Policy([_rule(rule, f"rules[{i}]", stages, managed) for i, rule in enumerate(rules)])


def _rule(given: Any, path: str, stages: frozenset[str], managed: bool) -> Rule:
    if not isinstance(given, dict):
        raise PolicyError(f"{path}: not an object")
    _known(given, FIELDS, f"{path}.")
    level = given.get("level")
    if not level:
        raise PolicyError(f"{path}.level: Required value")
    if level not in LEVELS:
        supported = ", ".join(f'"{each}"' for each in LEVELS)
        raise PolicyError(f'{path}.level: Unsupported value: "{level}": supported values: {supported}')
    urls = _texts(given, "nonResourceURLs", path)
    for index, url in enumerate(urls):
        _check_url(url, f"{path}.nonResourceURLs[{index}]")
    if urls and (given.get("resources") or given.get("namespaces")):
        why = "rules cannot apply to both regular resources and non-resource URLs"
        raise PolicyError(f"{path}.nonResourceURLs: Invalid value: {why}")
    omit = stages | _stages(given, f"{path}.omitStages")
    return Rule(
        Decision(LEVELS.index(level), omit, _flag(given, f"{path}.omitManagedFields", managed)),
        frozenset(_texts(given, "users", path)),
        frozenset(_texts(given, "userGroups", path)),
        frozenset(_texts(given, "verbs", path)),
        _resources(given, f"{path}.resources"),
        frozenset(_texts(given, "namespaces", path)),
        urls,
    )


def _resources(given: dict[str, Any], path: str) -> tuple[GroupResources, ...]:
    entries = given.get("resources") or []
    if not isinstance(entries, list):
        raise PolicyError(f"{path}: not a list")
    found = []
    for index, entry in enumerate(entries):
        where = f"{path}[{index}]"
        if not isinstance(entry, dict):
            raise PolicyError(f"{where}: not an object")
        _known(entry, {"group", "resources", "resourceNames"}, f"{where}.")
        group = entry.get("group") or ""
        if not isinstance(group, str) or "/" in group:
            raise PolicyError(f"{where}.group: Invalid value: {group!r}: must be a group, without a version")
        names = _texts(entry, "resourceNames", where)
        resources = _texts(entry, "resources", where)
        if names and not resources:
            why = "using resourceNames requires at least one resource"
            raise PolicyError(f"{where}.resourceNames: Invalid value: {why}")
        found.append(GroupResources(group, resources, names))
    return tuple(found)


def _check_url(url: str, path: str) -> None:
    if url == "*":
        return
    if not url.startswith("/"):
        raise PolicyError(
            f"{path}: Invalid value: {url!r}: non-resource URL rules must begin with a '/' character"
        )
    if "*" in url[:-1]:
        why = "non-resource URL wildcards '*' must be the final character of the rule"
        raise PolicyError(f"{path}: Invalid value: {url!r}: {why}")


def _stages(given: dict[str, Any], path: str) -> frozenset[str]:
    found = _texts(given, "omitStages", path.removesuffix("omitStages").rstrip("."))
    for index, stage in enumerate(found):
        if stage not in STAGES:
            why = f"allowed stages are {','.join(STAGES)}"
            raise PolicyError(f"{path}[{index}]: Invalid value: {stage!r}: {why}")
    return frozenset(found)


def _texts(given: dict[str, Any], name: str, path: str) -> tuple[str, ...]:
    values = given.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise PolicyError(f"{path}.{name}: not a list of strings".lstrip("."))
    return tuple(values)


def _flag(given: dict[str, Any], path: str, default: bool) -> bool:
    value = given.get(path.rpartition(".")[2])
    if value is None:
        return default
    if not isinstance(value, bool):
        raise PolicyError(f"{path}: not a boolean")
    return value


def _known(given: dict[str, Any], names: set[str], path: str) -> None:
    for name in given:
        if name not in names:
            raise PolicyError(f"{path}{name}: unknown field")
