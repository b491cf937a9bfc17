"""Webhook configurations and admission policies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, expressions, values

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
SIDE_EFFECTS = ("None", "NoneOnDryRun")
SCOPES = ("*", "Cluster", "Namespaced")
POLICY_NAMES = ("object", "oldObject", "request", "params", "namespaceObject")
_TEXT = ("string", "null", "null_type")
# Of each type of mutation, where its expression stands and what that is to be.
MUTATIONS = {"ApplyConfiguration": ("applyConfiguration", ("map",)), "JSONPatch": ("jsonPatch", ("list",))}
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


class Webhooks(Strategy):
    has_generation = True
    columns = cells.table("Name", "Webhooks:integer", "Age")

    def default(self, obj: Obj) -> None:
        for hook in obj.get("webhooks") or ():
            hook.setdefault("failurePolicy", "Fail")
            hook.setdefault("timeoutSeconds", 10)
            default_match(hook)
            for rule in hook.get("rules") or ():
                rule.setdefault("scope", "*")
            if service := (hook.get("clientConfig") or {}).get("service"):
                service.setdefault("port", 443)

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        names: set[str] = set()
        for index, hook in enumerate(obj.get("webhooks") or ()):
            path, name = f"webhooks[{index}]", hook.get("name", "")
            if name in names:
                found.append(causes.duplicate(f"{path}.name", name))
            names.add(name)
            found += _hook(hook, path)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), cells.age(obj, now)]


class MutatingWebhooks(Webhooks):
    def default(self, obj: Obj) -> None:
        super().default(obj)
        for hook in obj.get("webhooks") or ():
            hook.setdefault("reinvocationPolicy", "Never")


def default_match(part: Obj) -> None:
    """A MatchResources, or the part of a webhook that is like one."""
    part.setdefault("matchPolicy", "Equivalent")
    part.setdefault("namespaceSelector", {})
    part.setdefault("objectSelector", {})


def _hook(hook: Obj, path: str) -> list[Cause]:
    name = hook.get("name", "")
    found: list[Cause] = []
    if not name:
        found.append(causes.required(f"{path}.name"))
    elif name.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        found.append(causes.invalid(f"{path}.name", name, detail))
    found += values.optional_one_of(hook.get("failurePolicy"), f"{path}.failurePolicy", FAILURE_POLICIES)
    found += values.optional_one_of(hook.get("matchPolicy"), f"{path}.matchPolicy", MATCH_POLICIES)
    found += values.one_of(hook.get("sideEffects"), f"{path}.sideEffects", SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(causes.invalid(f"{path}.timeoutSeconds", seconds, detail))
    versions = hook.get("admissionReviewVersions") or []
    if not versions:
        known = "must specify one of v1, v1beta1"
        found.append(causes.required(f"{path}.admissionReviewVersions", known))
    client = hook.get("clientConfig") or {}
    if (client.get("url") is None) == (client.get("service") is None):
        detail = "exactly one of url or service is required"
        found.append(causes.required(f"{path}.clientConfig", detail))
    for index, rule in enumerate(hook.get("rules") or ()):
        found += _rule(rule, f"{path}.rules[{index}]")
    names = ("object", "oldObject", "request")
    return found + expressions.conditions(hook.get("matchConditions"), f"{path}.matchConditions", names)


def _rule(rule: Obj, path: str) -> list[Cause]:
    found = [
        causes.required(f"{path}.{key}")
        for key in ("operations", "apiGroups", "apiVersions", "resources")
        if not rule.get(key)
    ]
    for index, operation in enumerate(rule.get("operations") or ()):
        found += values.optional_one_of(operation, f"{path}.operations[{index}]", OPERATIONS)
    return found + values.optional_one_of(rule.get("scope"), f"{path}.scope", SCOPES)


class Policies(Strategy):
    has_generation = True
    columns = cells.table("Name", "Validations:integer", "ParamKind", "Age")
    counted = "validations"

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        if (match := spec.get("matchConstraints")) is not None:
            default_match(match)
            for rule in (*(match.get("resourceRules") or ()), *(match.get("excludeResourceRules") or ())):
                rule.setdefault("scope", "*")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.optional_one_of(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
        rules = (spec.get("matchConstraints") or {}).get("resourceRules")
        if not rules:
            found.append(causes.required("spec.matchConstraints.resourceRules"))
        found += expressions.conditions(spec.get("matchConditions"), "spec.matchConditions", POLICY_NAMES)
        return found + self._expressions(spec)

    def _expressions(self, spec: Obj) -> list[Cause]:
        found: list[Cause] = []
        known: tuple[str, ...] = ()
        for index, variable in enumerate(spec.get("variables") or ()):
            path = f"spec.variables[{index}].expression"
            found += expressions.fault(variable.get("expression") or "", path, POLICY_NAMES, (), known)
            known = (*known, variable.get("name") or "")
        return found + self._judge(spec, known)

    def _judge(self, spec: Obj, variables: tuple[str, ...]) -> list[Cause]:
        found: list[Cause] = []
        if not spec.get("validations") and not spec.get("auditAnnotations"):
            detail = "validations or auditAnnotations must contain at least one item"
            found += [causes.required(f"spec.{key}", detail) for key in ("validations", "auditAnnotations")]
        parts: list[tuple[str, str, tuple[str, ...]]] = [
            (f"spec.validations[{index}].{key}", entry.get(key) or "", returns)
            for index, entry in enumerate(spec.get("validations") or ())
            for key, returns in (("expression", ("bool",)), ("messageExpression", ("string",)))
            if key in entry or key == "expression"
        ]
        parts += [
            (f"spec.auditAnnotations[{index}].valueExpression", entry.get("valueExpression") or "", _TEXT)
            for index, entry in enumerate(spec.get("auditAnnotations") or ())
        ]
        for path, expression, returns in parts:
            found += expressions.fault(expression, path, POLICY_NAMES, returns, variables)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        kind = spec.get("paramKind")
        text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else cells.UNSET
        return [obj["metadata"]["name"], len(spec.get(self.counted) or ()), text, cells.age(obj, now)]


class MutatingPolicies(Policies):
    columns = cells.table("Name", "Mutations:integer", "ParamKind", "Age")
    counted = "mutations"

    def _judge(self, spec: Obj, variables: tuple[str, ...]) -> list[Cause]:
        found: list[Cause] = []
        if not spec.get("mutations"):
            found.append(causes.required("spec.mutations", "mutations must contain at least one item"))
        for index, mutation in enumerate(spec.get("mutations") or ()):
            path = f"spec.mutations[{index}]"
            known = mutation.get("patchType")
            if known not in MUTATIONS:
                found.append(causes.not_supported(f"{path}.patchType", known or "", MUTATIONS))
                continue
            key, returns = MUTATIONS[known]
            expression = (mutation.get(key) or {}).get("expression") or ""
            where = f"{path}.{key}.expression"
            found += expressions.fault(expression, where, POLICY_NAMES, returns, variables, structs=True)
        return found


class PolicyBindings(Strategy):
    has_generation = True
    columns = cells.table("Name", "PolicyName", "ParamRef", "Age")

    def default(self, obj: Obj) -> None:
        match = (obj.get("spec") or {}).get("matchResources")
        if match is not None:
            default_match(match)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        return [] if spec.get("policyName") else [causes.required("spec.policyName")]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        reference = spec.get("paramRef") or {}
        text = cells.UNSET
        if reference.get("name"):
            text = f"{reference.get('namespace') or '*'}/{reference['name']}"
        return [obj["metadata"]["name"], spec.get("policyName", ""), text, cells.age(obj, now)]


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.MUTATING_ADMISSION_POLICIES: MutatingPolicies,
    resources.MUTATING_ADMISSION_POLICY_BINDINGS: PolicyBindings,
    resources.MUTATING_WEBHOOK_CONFIGURATIONS: MutatingWebhooks,
    resources.VALIDATING_ADMISSION_POLICIES: Policies,
    resources.VALIDATING_ADMISSION_POLICY_BINDINGS: PolicyBindings,
    resources.VALIDATING_WEBHOOK_CONFIGURATIONS: Webhooks,
}
