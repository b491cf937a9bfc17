"""Whether a Job's failure and success policies make sense. Source: batch/v1 PodFailurePolicy,
SuccessPolicy."""

from __future__ import annotations

import json
from collections.abc import Sequence

from podium.api.groups.batch import indexes
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MAX_RULES = MAX_PATTERNS = 20
MAX_EXIT_CODES = 255
MAX_INDEXES = 64 * 1024  # characters
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")


def wrong(path: str, detail: str) -> Cause:
    """The fault of something whose value says nothing."""
    return Cause("FieldValueInvalid", f"Invalid value: {detail}", path)


def failure_policy(spec: Obj, path: str) -> list[Cause]:
    """`spec` is the JobSpec that has one."""
    rules = spec["podFailurePolicy"].get("rules") or []
    pod = spec["template"]["spec"]
    containers = {
        entry.get("name") for part in ("containers", "initContainers") for entry in pod.get(part) or ()
    }
    found = _at_most(rules, f"{path}.rules", MAX_RULES)
    for number, rule in enumerate(rules):
        found += _failure_rule(spec, rule, f"{path}.rules[{number}]", containers)
    return found


def _at_most(entries: Sequence[object], path: str, limit: int) -> list[Cause]:
    return [causes.too_many(path, len(entries), limit)] if len(entries) > limit else []


def _word(value: str | None, path: str, supported: Sequence[str]) -> list[Cause]:
    if not value:
        listed = " ".join(map(json.dumps, supported))
        return [causes.required(path, f"valid values: [{listed}]")]
    return [] if value in supported else [causes.not_supported(path, value, supported)]


def _failure_rule(spec: Obj, rule: Obj, path: str, containers: set[str | None]) -> list[Cause]:
    found = _word(rule.get("action"), f"{path}.action", ACTIONS)
    if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        detail = "requires the backoffLimitPerIndex to be set"
        found.append(causes.invalid(f"{path}.action", "FailIndex", detail))
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        found += _exit_codes(codes, f"{path}.onExitCodes", containers)
    found += _at_most(patterns, f"{path}.onPodConditions", MAX_PATTERNS)
    for number, pattern in enumerate(patterns):
        where = f"{path}.onPodConditions[{number}]"
        found += values.named(pattern.get("type", ""), f"{where}.type", names.qualified)
        found += _word(pattern.get("status"), f"{where}.status", STATUSES)
    if codes is not None and patterns:
        found.append(wrong(path, "specifying both OnExitCodes and OnPodConditions is not supported"))
    if codes is None and not patterns:
        found.append(wrong(path, "specifying one of OnExitCodes and OnPodConditions is required"))
    return found


def _exit_codes(wanted: Obj, path: str, containers: set[str | None]) -> list[Cause]:
    found = _word(wanted.get("operator"), f"{path}.operator", OPERATORS)
    name, codes = wanted.get("containerName"), wanted.get("values") or []
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        found.append(causes.invalid(f"{path}.containerName", name, detail))
    if not codes:
        found.append(causes.invalid(f"{path}.values", wanted.get("values"), "at least one value is required"))
    found += _at_most(codes, f"{path}.values", MAX_EXIT_CODES)
    for number, code in enumerate(codes):
        where = f"{path}.values[{number}]"
        if wanted.get("operator") == "In" and code == 0:
            found.append(causes.invalid(where, code, "must not be 0 for the In operator"))
        if code in codes[:number]:
            found.append(causes.duplicate(where, code))
    if codes != sorted(codes):
        found.append(causes.invalid(f"{path}.values", codes, "must be ordered"))
    return found


def success_policy(spec: Obj, path: str) -> list[Cause]:
    """`spec` is the JobSpec, of an indexed job, that has one."""
    rules = spec["successPolicy"].get("rules") or []
    found: list[Cause] = []
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        found.append(causes.required(f"{path}.rules", detail))
    found += _at_most(rules, f"{path}.rules", MAX_RULES)
    for number, rule in enumerate(rules):
        found += _success_rule(rule, f"{path}.rules[{number}]", spec.get("completions") or 0)
    return found


def _success_rule(rule: Obj, path: str, completions: int) -> list[Cause]:
    count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
    found: list[Cause] = []
    if count is None and text is None:
        found.append(
            causes.required(path, "at least one of succeededCount or succeededIndexes must be specified")
        )
    listed = 0
    if text is not None:
        if len(text) > MAX_INDEXES:
            found.append(causes.too_long(f"{path}.succeededIndexes", MAX_INDEXES))
        try:
            listed = indexes.total(indexes.parse(text, completions))
        except ValueError as error:
            detail = f"error parsing succeededIndexes: {error}"
            found.append(causes.invalid(f"{path}.succeededIndexes", text, detail))
    if count is None:
        return found
    where = f"{path}.succeededCount"
    found += values.not_negative(count, where)
    limits = [(completions, "the number of specified completions")]
    if text is not None:
        limits.append((listed, "the number of indexes in the specified succeededIndexes field"))
    for limit, what in limits:
        if count > limit:
            found.append(causes.invalid(where, count, f"must be less than or equal to {limit} ({what})"))
    return found
