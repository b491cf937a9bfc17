"""Whether the rules of a definition's schema can be: their expressions, the fields they speak of, what they
may cost. Asked when a schema is new, never for an object.

Source: docs, "Validation rules"; KEP-2876.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from podium.api.extensions.nodes import INT_OR_STRING, LIST_TYPE, MAP_TYPE, RULES
from podium.api.extensions.rules import OLD, SELF, has_rules, program
from podium.api.schema.walk import ANY, STRING, Field, Type
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

if TYPE_CHECKING:
    from podium.api.cel.typed import Checker

_MADE_UP = re.compile(r" not found in struct '[\w.]+'")
_STEP = re.compile(r"\.(?P<name>[A-Za-z_][\w-]*)|\['(?P<key>(?:[^'\\]|\\.)+)'\]")
# Texts that have a type of their own in an expression.
_FORMATS = {
    name: Type(name, kind)
    for name, kind in (("byte", bytes), ("date", datetime), ("date-time", datetime), ("duration", timedelta))
}
_SCALARS = {name: Type(name, kind) for name, kind in (("boolean", bool), ("integer", int), ("number", float))}
_META = Type("object", dict)
_META.fields = {"name": Field(STRING), "generateName": Field(STRING)}


def check_rules(schema: Obj, path: str) -> list[Cause]:
    """Every fault in a schema that is structural."""
    if not has_rules(schema):
        return []
    from podium.api.cel.estimate import too_costly

    return [*_level(schema, path, "", root=True), *too_costly(schema, path)]


def _level(schema: Obj, path: str, lost: str, *, root: bool = False) -> Iterator[Cause]:
    """`lost` is the list or map around whose parts cannot be told from the former ones, "" for none."""
    if not has_rules(schema):
        return
    if rules := schema.get(RULES):
        checkers = _Checkers(schema, root=root or bool(schema.get("x-kubernetes-embedded-resource")))
        for index, rule in enumerate(rules):
            yield from _rule(rule, schema, f"{path}.{RULES}[{index}]", lost, checkers)
    inner = lost or (path if schema.get(MAP_TYPE) == "atomic" else "")
    for key, each in (schema.get("properties") or {}).items():
        yield from _level(each, f"{path}.properties[{key}]", inner)
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from _level(more, f"{path}.additionalProperties", inner)
    if isinstance(items := schema.get("items"), dict):
        told = schema.get(LIST_TYPE) == "map"
        yield from _level(items, f"{path}.items", lost if told else lost or path)


def _rule(rule: Obj, schema: Obj, path: str, lost: str, checkers: _Checkers) -> Iterator[Cause]:
    from podium.api.cel import CompileError

    optional = bool(rule.get("optionalOldSelf"))
    uses_old = False
    for key, returns in (("rule", "bool"), ("messageExpression", "string")):
        if not (source := rule.get(key) or "").strip():
            continue
        try:
            compiled = program(source, optional, returns)
            if fault := checkers.of(optional).fault(source, returns) if checkers.useful else "":
                # The names of types are made up.
                raise CompileError(_MADE_UP.sub("", fault))
        except CompileError as error:
            yield causes.invalid(f"{path}.{key}", rule, f"compilation failed: {error}")
        else:
            uses_old |= key == "rule" and bool(compiled.names - {SELF})
    if uses_old and lost:
        detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"
        yield causes.invalid(f"{path}.rule", rule["rule"], detail)
    elif not uses_old and rule.get("optionalOldSelf") is not None:
        detail = "may not be set if oldSelf is not used in rule"
        yield causes.invalid(f"{path}.optionalOldSelf", optional, detail)


def path_is_valid(schema: Obj, path: str) -> bool:
    """Whether a rule's fieldPath leads to a field of the schema."""
    position, current = 0, schema
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return False
        key = match["name"] or re.sub(r"\\(.)", r"\1", match["key"])
        more = current.get("additionalProperties")
        inner = (current.get("properties") or {}).get(key)
        if inner is None and match["key"] and isinstance(more, dict):
            inner = more
        if not isinstance(inner, dict):
            return False
        position, current = match.end(), inner
    return bool(path)


class _Checkers:
    """Hold expressions against the types of one level."""

    def __init__(self, schema: Obj, *, root: bool) -> None:
        own = _struct(schema, root) if root else _type(schema)
        self.useful = own is not None and own is not ANY
        self._own = own or ANY
        self._made: dict[bool, Checker] = {}

    def of(self, optional: bool) -> Checker:
        from podium.api.cel.typed import Checker

        if optional not in self._made:
            types = {SELF: self._own} if optional else {SELF: self._own, OLD: self._own}
            self._made[optional] = Checker((SELF, OLD), types)
        return self._made[optional]


def _struct(schema: Obj, root: bool) -> Type:
    made = Type("object", dict)
    made.fields = {
        key: Field(found)
        for key, each in (schema.get("properties") or {}).items()
        if (found := _type(each)) is not None
    }
    if root:
        made.fields |= {"apiVersion": Field(STRING), "kind": Field(STRING), "metadata": Field(_META)}
    return made


def _type(schema: Obj) -> Type | None:
    """None for what expressions do not see."""
    kind: Any = schema.get("type") or ""
    if schema.get(INT_OR_STRING):
        return ANY
    items, more = schema.get("items"), schema.get("additionalProperties")
    if kind == "array":
        item = _type(items) if isinstance(items, dict) else None
        return item and Type("list", list, item=item)
    if kind == "object" and isinstance(more, dict):
        item = _type(more)
        return item and Type("map", dict, item=item)
    if kind == "object":
        return _struct(schema, bool(schema.get("x-kubernetes-embedded-resource")))
    if kind == "string":
        return _FORMATS.get(schema.get("format") or "", STRING)
    return _SCALARS.get(kind)
