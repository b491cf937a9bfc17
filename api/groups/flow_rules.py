"""The rules by which a FlowSchema takes requests. Source: API reference, PolicyRulesWithSubjects."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
KINDS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def check(rule: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, subject in enumerate(rule.get("subjects") or ()):
        found += _subject(subject, f"{path}.subjects[{index}]")
    if not rule.get("subjects"):
        found.append(causes.required(f"{path}.subjects", "subjects must contain at least one value"))
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(causes.required(path, detail))
    for index, part in enumerate(rule.get("resourceRules") or ()):
        found += _resources(part, f"{path}.resourceRules[{index}]")
    for index, part in enumerate(rule.get("nonResourceRules") or ()):
        found += _paths(part, f"{path}.nonResourceRules[{index}]")
    return found


def _subject(subject: Obj, path: str) -> list[Cause]:
    kind = subject.get("kind", "")
    if kind not in KINDS:
        return [causes.not_supported(f"{path}.kind", kind, sorted(KINDS))]
    key = KINDS[kind]
    where, given = f"{path}.{key}", subject.get(key)
    if given is None:
        found = [causes.required(where, f"{key} is required when subject kind is '{kind}'")]
    else:
        found = [] if given.get("name") else [causes.required(f"{where}.name")]
        if kind == "ServiceAccount":
            found += _account(given, where)
    order = ("ServiceAccount", "User", "Group")
    return found + [
        causes.forbidden(
            f"{path}.{KINDS[other]}", f"{KINDS[other]} is forbidden when subject kind is not '{other}'"
        )
        for other in order
        if other != kind and subject.get(KINDS[other]) is not None
    ]


def _account(account: Obj, path: str) -> list[Cause]:
    name, namespace, found = account.get("name"), account.get("namespace"), []
    if name and name != "*":
        found += values.named(name, f"{path}.name", names.dns_subdomain)
    if namespace:
        return found + values.named(namespace, f"{path}.namespace", names.dns_label)
    detail = "must specify namespace for service account"
    return [*found, causes.required(f"{path}.namespace", detail)]


def _verbs(verbs: Sequence[str], path: str) -> list[Cause]:
    if not verbs:
        return [causes.required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        return _alone(verbs, path, "verbs")
    return [] if set(verbs) <= set(VERBS) else [causes.not_supported(path, verbs, VERBS)]


def _alone(given: Sequence[str], path: str, what: str) -> list[Cause]:
    if len(given) < 2 or "*" not in given:
        return []
    return [causes.invalid(path, given, f"if '*' is present, must not specify other {what}")]


def _resources(rule: Obj, path: str) -> list[Cause]:
    found = _verbs(rule.get("verbs") or (), f"{path}.verbs")
    for key, one, many in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        given, where = rule.get(key) or (), f"{path}.{key}"
        if given:
            found += _alone(given, where, many)
        else:
            found.append(causes.required(where, f"resource rules must supply at least one {one}"))
    namespaces, where = rule.get("namespaces") or (), f"{path}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        return [*found, causes.required(where, detail)]
    if "*" in namespaces:
        return found + _alone(namespaces, where, "namespaces")
    told = "each member of this list must be '*' or a DNS-1123 label; "
    return found + [
        causes.invalid(f"{where}[{index}]", name, told + text)
        for index, name in enumerate(namespaces)
        for text in names.dns_label(name)
    ]


def _paths(rule: Obj, path: str) -> list[Cause]:
    found = _verbs(rule.get("verbs") or (), f"{path}.verbs")
    given, where = rule.get("nonResourceURLs") or (), f"{path}.nonResourceURLs"
    if not given:
        detail = "nonResourceURLs must contain at least one value"
        return [*found, causes.required(where, detail)]
    if "*" in given:
        return found + _alone(given, where, "non-resource URLs")
    return found + [
        causes.invalid(f"{where}[{index}]", text, fault)
        for index, text in enumerate(given)
        if (fault := _path_fault(text))
    ]


def _path_fault(text: str) -> str:
    if not text:
        return "must not be empty"
    if not text.startswith("/"):
        return "must start with slash"
    if " " in text:
        return "must not contain white-space"
    if "//" in text:
        return "must not contain double slash"
    if "*" in text[:-1] or (text.endswith("*") and not text.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""
