"""Which requests a webhook or a policy is about. Source: API reference, MatchResources."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

MATCH_POLICIES = ("Equivalent", "Exact")
SCOPES = ("*", "Cluster", "Namespaced")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SELECTORS = ("namespaceSelector", "objectSelector")


def default_match(part: Obj) -> None:
    """A MatchResources, or the part of a webhook that is like one."""
    part.setdefault("matchPolicy", "Equivalent")
    for key in _SELECTORS:
        part.setdefault(key, {})
    for key in ("rules", "resourceRules", "excludeResourceRules"):
        for rule in part.get(key) or ():
            rule.setdefault("scope", "*")


def check_match(match: Obj, path: str) -> list[Cause]:
    """A MatchResources."""
    found = check_selection(match, path)
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            found += _resource_names(rule.get("resourceNames") or (), f"{where}.resourceNames")
            found += check_rule(rule, where)
    return found


def check_selection(part: Obj, path: str) -> list[Cause]:
    """The match policy and the selectors of a webhook or a policy."""
    found = values.optional_one_of(part.get("matchPolicy"), f"{path}.matchPolicy", MATCH_POLICIES)
    for key in _SELECTORS:
        found += label_selector(part.get(key), f"{path}.{key}")
    return found


def _resource_names(given: Sequence[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, name in enumerate(given):
        found += values.named(name, f"{path}[{index}]", names.path_segment)
        if name in given[:index]:
            found.append(causes.duplicate(f"{path}[{index}]", name))
    return found


def check_rule(rule: Obj, path: str) -> list[Cause]:
    """A RuleWithOperations."""
    operations = rule.get("operations") or []
    found = _listed(operations, f"{path}.operations", "operations")
    for index, operation in enumerate(operations):
        found += values.optional_one_of(operation, f"{path}.operations[{index}]", OPERATIONS)
    found += _listed(rule.get("apiGroups") or [], f"{path}.apiGroups", "API groups")
    versions = rule.get("apiVersions") or []
    found += _listed(versions, f"{path}.apiVersions", "API versions")
    found += [
        causes.required(f"{path}.apiVersions[{index}]")
        for index, version in enumerate(versions)
        if not version
    ]
    found += _resources(rule.get("resources") or [], f"{path}.resources")
    return found + values.optional_one_of(rule.get("scope"), f"{path}.scope", SCOPES)


def _listed(given: list[str], path: str, what: str) -> list[Cause]:
    """A list that says something, and nothing beside `*`."""
    if not given:
        return [causes.required(path)]
    if len(given) > 1 and "*" in given:
        return [causes.invalid(path, given, f"if '*' is present, must not specify other {what}")]
    return []


def _resources(given: list[str], path: str) -> list[Cause]:
    """Resources and subresources: `pods`, `pods/log`, `pods/*`, `*/scale`, `*`, `*/*`."""
    found = [] if given else [causes.required(path)]
    whole: set[str] = set()
    everywhere: set[str] = set()
    bare = False
    for index, text in enumerate(given):
        where = f"{path}[{index}]"
        resource, slash, part = text.partition("/")
        if not text:
            found.append(causes.required(where))
            continue
        if not slash:
            # Upstream remembers of the last one alone whether it was `*`.
            bare = text != "*"
            continue
        for taken, key, shown in ((whole, resource, f"{resource}/*"), (everywhere, part, f"*/{part}")):
            if key in taken:
                detail = f"if '{shown}' is present, must not specify {text}"
                found.append(causes.invalid(where, text, detail))
        whole |= {resource} if part == "*" else set()
        everywhere |= {part} if resource == "*" else set()
    if len(given) > 1 and "*/*" in given:
        found.append(causes.invalid(path, given, "if '*/*' is present, must not specify other resources"))
    if "*" in given and bare:
        detail = "if '*' is present, must not specify other resources without subresources"
        found.append(causes.invalid(path, given, detail))
    return found
