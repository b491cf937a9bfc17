"""The rules of a schema (x-kubernetes-validations): compiled with it, and evaluated over an object and the
one it replaces.

Source: docs, "Validation rules"; KEP-2876 (rules), KEP-4008 (what did not change is not judged again).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from podium.api.extensions import checking
from podium.api.extensions.checking import NOTHING, below, former_items, item_key
from podium.api.extensions.nodes import RULES, Node
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

if TYPE_CHECKING:
    from podium.api.cel import Budget, Program

log = logging.getLogger(__name__)

SELF, OLD = "self", "oldSelf"
# Where `oldSelf` is optional: the value, and whether there is one.
_FORMER, _PRESENT = "formerSelf", "formerPresent"


class Rules:
    """The rules of one schema and of everything below it. All of one object share a budget."""

    def __init__(self, schema: Obj, node: Node) -> None:
        self._schema, self._node = schema, node
        self.any = has_rules(schema)

    def check(self, new: Obj, old: Obj | None = None) -> list[Cause]:
        """Every rule that does not hold."""
        if not self.any:
            return []
        from podium.api.cel import Budget

        found: list[Cause] = []
        before: Any = NOTHING if old is None else old
        try:
            for cause in _Walk(Budget()).value(new, before, self._schema, self._node, ""):
                found.append(cause)
        except _Over as over:
            found.append(over.cause)
        return found


def has_rules(schema: Obj) -> bool:
    """Here or anywhere below."""
    below = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return bool(schema.get(RULES)) or any(has_rules(each) for each in below if isinstance(each, dict))


class _Over(Exception):
    """No further rule is asked."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Walk:
    """Over one object."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def value(self, new: Any, old: Any, schema: Obj, node: Node, path: str) -> Iterator[Cause]:
        if not has_rules(schema) or new is None:
            return
        same = old is not NOTHING and checking.equal(new, old)
        for rule in schema.get(RULES) or ():
            cause = _judge(rule, schema, new, old, path, same, self._budget)
            if cause is not None:
                yield cause
        if isinstance(new, dict):
            yield from self._object(new, old, schema, node, path)
        elif isinstance(new, list) and node.items is not None:
            former = former_items(node, old)
            for index, entry in enumerate(new):
                before = former.get(item_key(node, entry), NOTHING) if former else NOTHING
                yield from self.value(entry, before, schema["items"], node.items, f"{path}[{index}]")

    def _object(self, new: Obj, old: Any, schema: Obj, node: Node, path: str) -> Iterator[Cause]:
        former = old if isinstance(old, dict) else {}
        named, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, entry in new.items():
            child, inner = (named.get(key), node.properties.get(key))
            if child is None and isinstance(more, dict) and isinstance(node.additional, Node):
                child, inner = more, node.additional
            if child is not None and inner is not None:
                at = below(path, key) if key in named else f"{path}[{key}]"
                yield from self.value(entry, former.get(key, NOTHING), child, inner, at)


def program(source: str, optional: bool = False, returns: str = "bool") -> Program:
    """Raises CompileError."""
    from podium.api.cel import compile_expression

    plain = compile_expression(source, (SELF, OLD), (returns,))
    if not optional or OLD not in plain.names:
        return plain
    # No value of Python is an optional one: it is made in the expression.
    bound = f"cel.bind({OLD}, {_PRESENT} ? optional.of({_FORMER}) : optional.none(), {source}\n)"
    return compile_expression(bound, (SELF, _FORMER, _PRESENT), (returns,))


def _judge(rule: Obj, schema: Obj, new: Any, old: Any, path: str, same: bool, budget: Budget) -> Cause | None:
    """Raises _Over."""
    from podium.api.cel import CompileError, CostExceeded, EvaluationError

    try:
        optional = bool(rule.get("optionalOldSelf"))
        compiled = program(rule["rule"], optional)
        transition = bool(compiled.names & {OLD, _FORMER})
        if transition and old is NOTHING and not optional:
            return None
        if same and not transition:
            return None
        values = _values(schema, new, old)
        holds = compiled.evaluate(values, budget=budget)
    except CostExceeded as error:
        raise _Over(_cost(rule, schema, path, error)) from None
    except (CompileError, EvaluationError) as error:
        why = f"{error} evaluating rule: {_named(rule)}"
        return causes.invalid(path or "<nil>", schema.get("type", ""), why)
    return None if holds is True else _fault(rule, values, new, path, budget)


def _cost(rule: Obj, schema: Obj, path: str, error: Exception) -> Cause:
    why = str(error)
    if "budget" not in why:
        end = "no further validation rules will be run due to call cost exceeds limit for rule"
        why = f"'{why}': {end}: {_named(rule)}"
    return causes.invalid(path or "<nil>", schema.get("type", ""), why)


def _named(rule: Obj) -> str:
    return str(rule.get("message") or rule["rule"]).strip()


def _values(schema: Obj, new: Any, old: Any) -> dict[str, Any]:
    from podium.api.cel import conform

    values = {SELF: conform(new, schema), _PRESENT: old is not NOTHING, _FORMER: None}
    if old is not NOTHING:
        values[OLD] = values[_FORMER] = conform(old, schema)
    return values


def _fault(rule: Obj, values: dict[str, Any], new: Any, path: str, budget: Budget) -> Cause:
    message = _message(rule, values, budget)
    at = path + (rule.get("fieldPath") or "")
    at = at.removeprefix(".") or "<nil>"
    match rule.get("reason") or "FieldValueInvalid":
        case "FieldValueForbidden":
            return causes.forbidden(at, message)
        case "FieldValueRequired":
            return causes.required(at, message)
        case "FieldValueDuplicate":
            return causes.duplicate(at, new)
    if isinstance(new, (dict, list)):
        return Cause("FieldValueInvalid", f"Invalid value: {message}", at)
    return causes.invalid(at, new, message)


def _message(rule: Obj, values: dict[str, Any], budget: Budget) -> str:
    from podium.api.cel import CompileError, EvaluationError

    if expression := rule.get("messageExpression"):
        try:
            compiled = program(expression, bool(rule.get("optionalOldSelf")), "string")
            made = compiled.evaluate(values, budget=budget)
        except (CompileError, EvaluationError) as error:
            log.info("the messageExpression %r has no value: %s", expression, error)
            made = ""
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made.strip()
    return rule.get("message") or f"failed rule: {rule['rule'].strip()}"
