"""The rules of a schema (x-kubernetes-validations): compiled with it, and evaluated over an object and the
one it replaces.

Source: docs, "Validation rules"; KEP-2876 (rules), KEP-4008 (what did not change is not judged again).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from podium.api.extensions import checking
from podium.api.extensions.checking import NOTHING, below, former_items, item_key
from podium.api.extensions.nodes import RULES, Node
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

if TYPE_CHECKING:
    from podium.api.cel import Program

log = logging.getLogger(__name__)

SELF, OLD = "self", "oldSelf"
# Where `oldSelf` is optional: the value, and whether there is one.
_FORMER, _PRESENT = "formerSelf", "formerPresent"
# Seconds that all rules of one object may take together; each expression has a bound of its own besides.
BUDGET = 1.0
OVER_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class Rules:
    """The rules of one schema and of everything below it."""

    def __init__(self, schema: Obj, node: Node) -> None:
        self._schema, self._node = schema, node
        self._has = _has_rules(schema)

    def check(self, new: Obj, old: Obj | None = None) -> list[Cause]:
        """Every rule that does not hold."""
        if not self._has:
            return []
        before: Any = NOTHING if old is None else old
        return list(self._within(_Walk(time.monotonic() + BUDGET), new, before))

    def _within(self, walk: _Walk, new: Obj, before: Any) -> Iterator[Cause]:
        for cause in walk.value(new, before, self._schema, self._node, ""):
            yield cause
            if cause.message.endswith(OVER_BUDGET):
                return


def _has_rules(schema: Obj) -> bool:
    below = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return bool(schema.get(RULES)) or any(_has_rules(each) for each in below if isinstance(each, dict))


def faults(rule: Obj, path: str) -> list[Cause]:
    """What is wrong with the expressions of one rule."""
    from podium.api.cel import CompileError

    found: list[Cause] = []
    optional = bool(rule.get("optionalOldSelf"))
    for key, returns in (("rule", "bool"), ("messageExpression", "string")):
        if not (source := rule.get(key) or "").strip():
            continue
        try:
            compiled = program(source, optional, returns)
        except CompileError as error:
            found.append(causes.invalid(f"{path}.{key}", rule, f"compilation failed: {error}"))
            continue
        if key == "rule" and rule.get("optionalOldSelf") is not None and not compiled.names & {OLD, _FORMER}:
            detail = "may not be set if oldSelf is not used in rule"
            found.append(causes.invalid(f"{path}.optionalOldSelf", optional, detail))
    return found


class _Walk:
    """Over one object; `end` is when it has taken too long."""

    def __init__(self, end: float) -> None:
        self._end = end

    def value(self, new: Any, old: Any, schema: Obj, node: Node, path: str) -> Iterator[Cause]:
        if not _has_rules(schema) or new is None:
            return
        same = old is not NOTHING and checking.equal(new, old)
        for rule in schema.get(RULES) or ():
            if time.monotonic() > self._end:
                yield causes.forbidden(path or "<nil>", OVER_BUDGET)
                return
            cause = _judge(rule, schema, new, old, path, same)
            if cause is not None:
                yield cause
        if isinstance(new, dict):
            yield from self._object(new, old, schema, node, path)
        elif isinstance(new, list) and node.items is not None:
            former = former_items(node, old)
            for index, entry in enumerate(new):
                before = former.get(item_key(node, entry), NOTHING)
                yield from self.value(entry, before, schema["items"], node.items, f"{path}[{index}]")

    def _object(self, new: Obj, old: Any, schema: Obj, node: Node, path: str) -> Iterator[Cause]:
        former = old if isinstance(old, dict) else {}
        named, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, entry in new.items():
            child, inner = (named.get(key), node.properties.get(key))
            if child is None and isinstance(more, dict) and isinstance(node.additional, Node):
                child, inner = more, node.additional
            if child is not None and inner is not None:
                yield from self.value(entry, former.get(key, NOTHING), child, inner, below(path, key))


def program(source: str, optional: bool = False, returns: str = "bool") -> Program:
    """Raises CompileError."""
    from podium.api.cel import compile_expression

    plain = compile_expression(source, (SELF, OLD), (returns,))
    if not optional or OLD not in plain.names:
        return plain
    # No value of Python is an optional one: it is made in the expression.
    bound = f"cel.bind({OLD}, {_PRESENT} ? optional.of({_FORMER}) : optional.none(), {source}\n)"
    return compile_expression(bound, (SELF, _FORMER, _PRESENT), (returns,))


def _judge(rule: Obj, schema: Obj, new: Any, old: Any, path: str, same: bool) -> Cause | None:
    from podium.api.cel import CompileError, EvaluationError

    try:
        optional = bool(rule.get("optionalOldSelf"))
        compiled = program(rule["rule"], optional)
        transition = bool(compiled.names & {OLD, _FORMER})
        if transition and old is NOTHING and not optional:
            return None
        if same and not transition:
            return None
        values = _values(schema, new, old)
        holds = compiled.evaluate(values)
    except (CompileError, EvaluationError) as error:
        return causes.invalid(
            path or "<nil>", _shown(new), f"{error} evaluating rule: {rule.get('message') or rule['rule']}"
        )
    if holds is True:
        return None
    return _fault(rule, values, new, path)


def _values(schema: Obj, new: Any, old: Any) -> dict[str, Any]:
    from podium.api.cel import conform

    values = {SELF: conform(new, schema), _PRESENT: old is not NOTHING, _FORMER: None}
    if old is not NOTHING:
        values[OLD] = values[_FORMER] = conform(old, schema)
    return values


def _fault(rule: Obj, values: dict[str, Any], new: Any, path: str) -> Cause:
    message = _message(rule, values)
    at = path + (rule.get("fieldPath") or "")
    at = at.removeprefix(".") or "<nil>"
    match rule.get("reason") or "FieldValueInvalid":
        case "FieldValueForbidden":
            return causes.forbidden(at, message)
        case "FieldValueRequired":
            return causes.required(at, message)
        case "FieldValueDuplicate":
            return causes.duplicate(at, _shown(new))
    return causes.invalid(at, _shown(new), message)


def _shown(value: Any) -> Any:
    """What a message says of a value: not all of an object."""
    return type_text(value) if isinstance(value, (dict, list)) else value


def type_text(value: Any) -> str:
    return "object" if isinstance(value, dict) else "array"


def _message(rule: Obj, values: dict[str, Any]) -> str:
    from podium.api.cel import CompileError, EvaluationError

    if expression := rule.get("messageExpression"):
        try:
            made = program(expression, bool(rule.get("optionalOldSelf")), "string").evaluate(values)
        except (CompileError, EvaluationError) as error:
            log.info("the messageExpression %r has no value: %s", expression, error)
            made = ""
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made.strip()
    return rule.get("message") or f"failed rule: {rule['rule'].strip()}"
