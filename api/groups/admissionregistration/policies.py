"""Admission policies and what binds them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

from podium.api.groups import cells
from podium.api.groups.admissionregistration import rules
from podium.api.groups.admissionregistration.webhooks import FAILURE_POLICIES, REINVOCATIONS
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, expressions, names, values
from podium.api.validation.conditions import check_conditions
from podium.api.validation.selectors import label_selector

EXPRESSION_NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "authorizer")
ACTIONS = ("Audit", "Deny", "Warn")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
MUTATING_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
MOST_ANNOTATIONS, LONGEST_ANNOTATION = 20, 5 * 1024
_TEXT = ("string", "null", "null_type")
# Of each type of mutation, where its expression stands and what that is to be.
MUTATIONS = {"ApplyConfiguration": ("applyConfiguration", ("map",)), "JSONPatch": ("jsonPatch", ("list",))}
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)
_TWO_ACTIONS = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API "
    "response and headers serves no purpose)"
)


class Policies(Strategy):
    has_generation = True
    lengthy = True
    columns = cells.table("Name", "Validations:integer", "ParamKind", "Age")
    counted: ClassVar[str] = "validations"

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        if (match := spec.get("matchConstraints")) is not None:
            rules.default_match(match)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.optional_one_of(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
        if (kind := spec.get("paramKind")) is not None:
            found += _param_kind(kind, "spec.paramKind")
        found += self._constraints(spec.get("matchConstraints"), "spec.matchConstraints")
        found += expressions.conditions(spec.get("matchConditions"), "spec.matchConditions", EXPRESSION_NAMES)
        known: tuple[str, ...] = ()
        for index, variable in enumerate(spec.get("variables") or ()):
            found += _variable(variable, f"spec.variables[{index}]", known)
            known = (*known, variable.get("name") or "")
        return found + self._judge(obj, known)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status, found = new.get("status") or {}, []
        told = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
        for index, warning in enumerate(told):
            path = f"status.typeChecking.expressionWarnings[{index}]"
            found += [
                causes.required(f"{path}.{key}")
                for key in ("warning", "fieldRef")
                if not (warning.get(key) or "").strip()
            ]
        return found + check_conditions(status.get("conditions") or (), "status.conditions")

    def _constraints(self, match: Obj | None, path: str) -> list[Cause]:
        if match is None:
            return [causes.required(path)]
        found = rules.check_match(match, path)
        return found if match.get("resourceRules") else [*found, causes.required(f"{path}.resourceRules")]

    def _judge(self, obj: Obj, variables: tuple[str, ...]) -> list[Cause]:
        spec = obj["spec"]
        if not spec.get("validations") and not spec.get("auditAnnotations"):
            detail = "validations or auditAnnotations must contain at least one item"
            return [causes.required(f"spec.{key}", detail) for key in ("validations", "auditAnnotations")]
        found: list[Cause] = []
        for index, validation in enumerate(spec.get("validations") or ()):
            found += _validation(validation, f"spec.validations[{index}]", variables)
        annotations = spec.get("auditAnnotations") or []
        if len(annotations) > MOST_ANNOTATIONS:
            detail = f"must not have more than {MOST_ANNOTATIONS} auditAnnotations"
            found.append(causes.invalid("spec.auditAnnotations", annotations, detail))
        keys = [annotation.get("key", "") for annotation in annotations]
        for index, annotation in enumerate(annotations):
            path = f"spec.auditAnnotations[{index}]"
            found += _annotation(annotation, obj["metadata"].get("name", ""), path, variables)
            if keys[index] in keys[:index]:
                found.append(causes.duplicate(f"{path}.key", keys[index]))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        kind = spec.get("paramKind")
        text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else cells.UNSET
        return [obj["metadata"]["name"], len(spec.get(self.counted) or ()), text, cells.age(obj, now)]


def _param_kind(kind: Obj, path: str) -> list[Cause]:
    """What kind of object has the parameters: any that can be named."""
    text, name, where = kind.get("apiVersion") or "", kind.get("kind") or "", f"{path}.apiVersion"
    group, _, version = text.rpartition("/")
    found: list[Cause] = []
    if not text:
        found.append(causes.required(where))
    elif text.count("/") > 1:
        found.append(causes.invalid(where, text, f"unexpected GroupVersion string: {text}"))
    else:
        if group and (messages := names.dns_subdomain(group)):
            found.append(causes.invalid(where, group, ",".join(messages)))
        if not version:
            found.append(causes.invalid(where, text, "version must be specified"))
        elif messages := names.dns_1035_label(version):
            found.append(causes.invalid(where, version, ",".join(messages)))
    if not name:
        found.append(causes.required(f"{path}.kind"))
    elif messages := names.dns_1035_label(name.lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(messages)}"
        found.append(causes.invalid(f"{path}.kind", name, detail))
    return found


def _variable(variable: Obj, path: str, known: tuple[str, ...]) -> list[Cause]:
    name, expression = variable.get("name") or "", variable.get("expression") or ""
    found: list[Cause] = []
    if not name.strip():
        found.append(causes.required(f"{path}.name", "name is not specified"))
    elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
        found.append(causes.invalid(f"{path}.name", name, "must be a valid CEL identifier"))
    if not expression.strip():
        return [*found, causes.required(f"{path}.expression", "expression is not specified")]
    return found + expressions.fault(expression, f"{path}.expression", EXPRESSION_NAMES, (), known)


def _validation(validation: Obj, path: str, variables: tuple[str, ...]) -> list[Cause]:
    expression, where = validation.get("expression") or "", f"{path}.expression"
    if expression.strip():
        found = expressions.fault(expression, where, EXPRESSION_NAMES, ("bool",), variables)
    else:
        found = [causes.required(where, "expression is not specified")]
    told, where = validation.get("messageExpression") or "", f"{path}.messageExpression"
    if told and not told.strip():
        found.append(causes.invalid(where, told, "must be non-empty if specified"))
    elif told:
        found += expressions.fault(told, where, EXPRESSION_NAMES, ("string",), variables)
    message, where = validation.get("message") or "", f"{path}.message"
    if message and not message.strip():
        found.append(causes.invalid(where, message, "must be non-empty if specified"))
    elif {"\n", "\r"} & set(message.strip()):
        found.append(causes.invalid(where, message, "must not contain line breaks"))
    return found + values.optional_one_of(validation.get("reason"), f"{path}.reason", REASONS)


def _annotation(annotation: Obj, policy: str, path: str, variables: tuple[str, ...]) -> list[Cause]:
    key, expression = annotation.get("key", ""), annotation.get("valueExpression") or ""
    found = values.named(f"{policy}/{key}", f"{path}.key", names.qualified)
    where = f"{path}.valueExpression"
    if not expression.strip():
        found.append(causes.required(where, "valueExpression is not specified"))
    elif len(expression.strip()) > LONGEST_ANNOTATION:
        found.append(causes.required(where, f"must not exceed {LONGEST_ANNOTATION} bytes in length"))
    else:
        found += expressions.fault(expression, where, EXPRESSION_NAMES, _TEXT, variables)
    return found


def _mutating_operations(match: Obj | None, path: str) -> list[Cause]:
    return [
        causes.not_supported(f"{path}.resourceRules.operations", operation, MUTATING_OPERATIONS)
        for rule in (match or {}).get("resourceRules") or ()
        for operation in rule.get("operations") or ()
        if operation not in MUTATING_OPERATIONS
    ]


class MutatingPolicies(Policies):
    columns = cells.table("Name", "Mutations:integer", "ParamKind", "Age")
    counted = "mutations"

    def _constraints(self, match: Obj | None, path: str) -> list[Cause]:
        return super()._constraints(match, path) + _mutating_operations(match, path)

    def _judge(self, obj: Obj, variables: tuple[str, ...]) -> list[Cause]:
        spec, found = obj["spec"], []
        if not spec.get("mutations"):
            found.append(causes.required("spec.mutations", "mutations must contain at least one item"))
        for index, mutation in enumerate(spec.get("mutations") or ()):
            found += _mutation(mutation, f"spec.mutations[{index}]", variables)
        again = spec.get("reinvocationPolicy")
        return found + values.one_of(again, "spec.reinvocationPolicy", REINVOCATIONS)


def _mutation(mutation: Obj, path: str, variables: tuple[str, ...]) -> list[Cause]:
    kind = mutation.get("patchType") or ""
    if kind not in MUTATIONS:
        return values.one_of(kind, f"{path}.patchType", tuple(MUTATIONS))
    key, returns = MUTATIONS[kind]
    found: list[Cause] = []
    if mutation.get(key) is None:
        found.append(causes.required(f"{path}.{key}", f"must be specified when patchType is {kind}"))
    else:
        expression, where = mutation[key].get("expression") or "", f"{path}.{key}.expression"
        found += expressions.fault(expression, where, EXPRESSION_NAMES, returns, variables, structs=True)
    for other, _ in MUTATIONS.values():
        if other != key and mutation.get(other) is not None:
            detail = f"must not be specified when patchType is {kind}"
            found.append(causes.invalid(f"{path}.{other}", f"{{{other}}}", detail))
    return found


class Bindings(Strategy):
    has_generation = True
    columns = cells.table("Name", "PolicyName", "ParamRef", "Age")

    def default(self, obj: Obj) -> None:
        match = (obj.get("spec") or {}).get("matchResources")
        if match is not None:
            rules.default_match(match)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        name, found = spec.get("policyName") or "", []
        if name:
            found += values.named(name, "spec.policyName", names.dns_subdomain)
        else:
            found.append(causes.required("spec.policyName"))
        if (reference := spec.get("paramRef")) is not None:
            found += _param_ref(reference, "spec.paramRef")
        if (match := spec.get("matchResources")) is not None:
            found += rules.check_match(match, "spec.matchResources")
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        reference = spec.get("paramRef") or {}
        text = cells.UNSET
        if reference.get("name"):
            text = f"{reference.get('namespace') or '*'}/{reference['name']}"
        return [obj["metadata"]["name"], spec.get("policyName", ""), text, cells.age(obj, now)]


class MutatingBindings(Bindings):
    def check(self, obj: Obj) -> list[Cause]:
        match = (obj.get("spec") or {}).get("matchResources")
        return super().check(obj) + _mutating_operations(match, "spec.matchResources")


class ValidatingBindings(Bindings):
    def check(self, obj: Obj) -> list[Cause]:
        return super().check(obj) + _actions(
            (obj.get("spec") or {}).get("validationActions") or [], "spec.validationActions"
        )


def _param_ref(reference: Obj, path: str) -> list[Cause]:
    name, selector, found = reference.get("name") or "", reference.get("selector"), []
    both = bool(name) and selector is not None
    if name:
        found += values.named(name, f"{path}.name", names.path_segment)
    if both:
        found.append(causes.forbidden(f"{path}.name", _EXCLUSIVE))
    found += label_selector(selector, f"{path}.selector")
    if both:
        found.append(causes.forbidden(f"{path}.selector", _EXCLUSIVE))
    if not name and selector is None:
        found.append(causes.required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    return found + values.one_of(action, f"{path}.parameterNotFoundAction", ("Deny", "Allow"))


_EXCLUSIVE = "name and selector are mutually exclusive"


def _actions(given: list[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, action in enumerate(given):
        if action not in ACTIONS:
            found.append(causes.not_supported(f"{path}[{index}]", action, ACTIONS))
        if action in given[:index]:
            found.append(causes.duplicate(f"{path}[{index}]", action))
    if {"Deny", "Warn"} <= set(given):
        found.append(causes.invalid(path, given, _TWO_ACTIONS))
    if not given:
        found.append(causes.required(path, "at least one validation action is required"))
    return found
