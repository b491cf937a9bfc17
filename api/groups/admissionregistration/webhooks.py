"""Webhook configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.admissionregistration import rules
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, expressions, names, values
from podium.api.validation.webhooks import check_client

FAILURE_POLICIES = ("Fail", "Ignore")
SIDE_EFFECTS = ("None", "NoneOnDryRun")
REINVOCATIONS = ("IfNeeded", "Never")
VERSIONS = ("v1", "v1beta1")
_EXPRESSION_NAMES = ("object", "oldObject", "request", "authorizer")


class Webhooks(Strategy):
    has_generation = True
    lengthy = True
    columns = cells.table("Name", "Webhooks:integer", "Age")

    def default(self, obj: Obj) -> None:
        for hook in obj.get("webhooks") or ():
            hook.setdefault("failurePolicy", "Fail")
            hook.setdefault("timeoutSeconds", 10)
            rules.default_match(hook)
            if service := (hook.get("clientConfig") or {}).get("service"):
                service.setdefault("port", 443)

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        taken: set[str] = set()
        for index, hook in enumerate(obj.get("webhooks") or ()):
            path, name = f"webhooks[{index}]", hook.get("name", "")
            found += _hook(hook, path)
            if name and name in taken:
                found.append(causes.duplicate(f"{path}.name", name))
            taken.add(name)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), cells.age(obj, now)]


class MutatingWebhooks(Webhooks):
    def default(self, obj: Obj) -> None:
        super().default(obj)
        for hook in obj.get("webhooks") or ():
            hook.setdefault("reinvocationPolicy", "Never")


def _hook(hook: Obj, path: str) -> list[Cause]:
    found = _name(hook.get("name", ""), f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or ()):
        found += rules.check_rule(rule, f"{path}.rules[{index}]")
    found += values.optional_one_of(hook.get("failurePolicy"), f"{path}.failurePolicy", FAILURE_POLICIES)
    effects = hook.get("sideEffects")
    if effects is None:
        detail = f"must specify one of {', '.join(SIDE_EFFECTS)}"
        found.append(causes.required(f"{path}.sideEffects", detail))
    found += values.optional_one_of(effects, f"{path}.sideEffects", SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(causes.invalid(f"{path}.timeoutSeconds", seconds, detail))
    found += rules.check_selection(hook, path)
    again = hook.get("reinvocationPolicy")
    found += values.optional_one_of(again, f"{path}.reinvocationPolicy", REINVOCATIONS)
    found += check_client(hook.get("clientConfig") or {}, f"{path}.clientConfig", bundle=False)
    conditions = hook.get("matchConditions")
    found += expressions.conditions(conditions, f"{path}.matchConditions", _EXPRESSION_NAMES)
    return found + _versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")


def _name(name: str, path: str) -> list[Cause]:
    """A domain name of at least three parts."""
    if not name:
        return [causes.required(path)]
    if messages := names.dns_subdomain(name):
        return [causes.invalid(path, name, ",".join(messages))]
    if name.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [causes.invalid(path, name, detail)]
    return []


def _versions(given: list[str], path: str) -> list[Cause]:
    known = ", ".join(VERSIONS)
    if not given:
        return [causes.required(path, f"must specify one of {known}")]
    found: list[Cause] = []
    for index, version in enumerate(given):
        where = f"{path}[{index}]"
        if version in given[:index]:
            found.append(causes.invalid(where, version, "duplicate version"))
        else:
            found += values.named(version, where, names.dns_1035_label)
    if not set(VERSIONS) & set(given):
        found.append(causes.invalid(path, given, f"must include at least one of {known}"))
    return found
