"""When a container is restarted: its own policy and rules, and what a change of its resources takes.

Source: API reference, Container; KEP-5307, KEP-5532, KEP-1287.
"""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, values

POLICIES = ("Always", "Never", "OnFailure")
ACTIONS = ("Restart", "RestartAllContainers")
OPERATORS = ("In", "NotIn")
RESIZED, RESIZE_POLICIES = ("cpu", "memory"), ("NotRequired", "RestartContainer")
MAX_RULES, MAX_EXIT_CODES = 20, 255


def check(entry: Obj, path: str) -> list[Cause]:
    """The restart policy of a container and its rules."""
    policy, rules = entry.get("restartPolicy"), entry.get("restartPolicyRules") or ()
    found = values.optional_one_of(policy, f"{path}.restartPolicy", POLICIES)
    if policy is None and rules:
        detail = "must specify restartPolicy when restart rules are used"
        found.append(causes.required(f"{path}.restartPolicy", detail))
    if len(rules) > MAX_RULES:
        found.append(causes.too_many(f"{path}.restartPolicyRules", len(rules), MAX_RULES))
    for index, rule in enumerate(rules):
        found += _rule(rule, f"{path}.restartPolicyRules[{index}]")
    return found


def _rule(rule: Obj, path: str) -> list[Cause]:
    action, codes, found = rule.get("action", ""), rule.get("exitCodes"), []
    if action not in ACTIONS:
        found.append(causes.not_supported(f"{path}.action", action, ACTIONS))
    if codes is None:
        return [*found, causes.required(f"{path}.exitCodes", "must be specified")]
    if codes.get("operator") not in OPERATORS:
        where = f"{path}.exitCodes.operator"
        found.append(causes.not_supported(where, codes.get("operator", ""), OPERATORS))
    if len(codes.get("values") or ()) > MAX_EXIT_CODES:
        found.append(causes.too_many(f"{path}.exitCodes.values", len(codes["values"]), MAX_EXIT_CODES))
    return found


def check_resize(policies: Sequence[Obj], path: str, pod_policy: str) -> list[Cause]:
    """A container's resizePolicy in a pod that is restarted by `pod_policy`."""
    found: list[Cause] = []
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        name, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if name in seen:
            found.append(causes.duplicate(f"{path}[{index}]", name))
        seen.add(name)
        found += values.one_of(name, path, RESIZED) + values.one_of(restart, path, RESIZE_POLICIES)
        if pod_policy == "Never" and restart != "NotRequired":
            detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            found.append(causes.invalid(path, restart, detail))
    return found
