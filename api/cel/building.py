"""From an expression's tree to functions that evaluate it: each part is a closure over those below.

The library could evaluate too, but it would first copy every value into its own form, could not be stopped
by what the evaluation has cost so far, and would hold all else up for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.cel import loops, syntax
from podium.api.cel.calls import Call, known
from podium.api.cel.errors import CompileError, CostExceeded, EvaluationError
from podium.api.cel.frames import Frame, Run
from podium.api.cel.kinds import NONE, TYPES, Optional, TypeName, Uint, overload
from podium.api.cel.operators import BINARY, UNARY, index
from podium.api.cel.structs import unescape
from podium.api.cel.weights import OPERATORS

VARIABLES = "variables"
_LIST, _MAP, _MESSAGE = 10, 30, 40


class Builder:
    """`names` are the environment's variables, `variables` those that `variables.NAME` may name."""

    def __init__(self, names: frozenset[str], variables: frozenset[str]) -> None:
        self._names = names
        self._variables = variables

    def build(self, expr: Any, bound: frozenset[str] = frozenset()) -> Run:
        """`bound` are the variables of the loops around. Raises CompileError."""
        match expr.WhichOneof("kind"):
            case "const_expr":
                return _constant(expr.const_expr)
            case "ident_expr":
                return self._ident(expr.ident_expr.name, bound)
            case "select_expr":
                return self._select(expr.select_expr, bound)
            case "call_expr":
                return self._call(expr.call_expr, bound)
            case "list_expr":
                return self._list(expr.list_expr, bound)
            case "struct_expr":
                return self._struct(expr.struct_expr, bound)
            case "comprehension_expr":
                return loops.comprehension(self.build, expr.comprehension_expr, bound)
        raise CompileError("expected an expression")

    def _ident(self, name: str, bound: frozenset[str]) -> Run:
        if name not in bound and name not in self._names:
            if name not in TYPES:
                raise CompileError(f"undeclared reference to '{name}' (in container '')")
            type_ = TypeName(name)
            return lambda frame: type_

        def ident(frame: Frame) -> Any:
            frame.cost += 1
            try:
                return frame.values[name]
            except KeyError:
                raise EvaluationError(f"no such attribute(s): {name}") from None

        return ident

    def _select(self, select: Any, bound: frozenset[str]) -> Run:
        operand = select.operand
        if operand.ident_expr.name == VARIABLES and VARIABLES not in bound:
            return self._variable(select)
        inner = self.build(operand, bound)
        return _has(inner, select.field) if select.test_only else _field(inner, select.field)

    def _variable(self, select: Any) -> Run:
        name = select.field
        if name not in self._variables:
            raise CompileError(f"undefined field '{name}'")
        if select.test_only:
            return lambda frame: True

        def variable(frame: Frame) -> Any:
            frame.cost += 1
            if frame.variables is None:
                raise EvaluationError(f"no such attribute(s): {VARIABLES}.{name}")
            return frame.variables(name)

        return variable

    def _call(self, call: Any, bound: frozenset[str]) -> Run:
        if (macro := loops.macro(self.build, call, bound)) is not None:
            return macro
        name = call.function
        if name in _SPECIAL:
            return _SPECIAL[name]([self.build(each, bound) for each in call.args])
        if name in BINARY and len(call.args) == 2:
            return _binary(name, *(self.build(each, bound) for each in call.args))
        if name in UNARY and len(call.args) == 1:
            return _unary(name, self.build(call.args[0], bound))
        namespaced = syntax.namespaced(call, self._names | bound)
        arguments = [self.build(each, bound) for each in call.args]
        member = call.HasField("target") and namespaced is None
        if member:
            arguments.insert(0, self.build(call.target, bound))
        name = namespaced or name
        if not known(name, member):
            raise CompileError(f"undeclared reference to '{name}' (in container '')")
        return Call(name, member, arguments).run

    def _list(self, listed: Any, bound: frozenset[str]) -> Run:
        items = [self.build(item, bound) for item in listed.elements]
        if not listed.optional_indices:

            def make(frame: Frame) -> Any:
                frame.charge(_LIST)
                return [item(frame) for item in items]

            return make
        maybe = frozenset(listed.optional_indices)

        def optional(frame: Frame) -> Any:
            frame.charge(_LIST)
            found = []
            for place, item in enumerate(items):
                value = item(frame)
                if place not in maybe:
                    found.append(value)
                elif value.present:
                    found.append(value.value)
            return found

        return optional

    def _struct(self, struct: Any, bound: frozenset[str]) -> Run:
        message = bool(struct.message_name)
        entries: list[tuple[Run, Run, bool]] = []
        for entry in struct.entries:
            if entry.WhichOneof("key") == "map_key":
                key = self.build(entry.map_key, bound)
            else:
                key = _fixed(unescape(entry.field_key))
            entries.append((key, self.build(entry.value, bound), entry.optional_entry))
        cost = _MESSAGE if message else _MAP

        def make(frame: Frame) -> Any:
            frame.charge(cost)
            made: dict[Any, Any] = {}
            for key, value, optional in entries:
                name, found = key(frame), value(frame)
                if optional:
                    if not found.present:
                        continue
                    found = found.value
                if name in made:
                    raise EvaluationError(f"insert failed: key {name} already exists")
                made[name] = found
            return made

        return make


def _fixed(value: Any) -> Run:
    return lambda frame: value


def _constant(constant: Any) -> Run:
    kind = constant.WhichOneof("kind")
    if kind == "null_value" or kind is None:
        return _fixed(None)
    value = getattr(constant, kind)
    return _fixed(Uint(value) if kind == "uint64_value" else value)


def _other_name(field: str) -> str | None:
    """What the field is called in JSON, where an expression could not say it."""
    plain = unescape(field)
    return None if plain == field else plain


def _field(inner: Run, field: str) -> Run:
    other = _other_name(field)

    def select(frame: Frame) -> Any:
        operand = inner(frame)
        frame.cost += 1
        if isinstance(operand, Optional):
            return _optional_field(operand, field)
        try:
            return operand[field]
        except KeyError:
            if other is not None and other in operand:
                return operand[other]
            raise EvaluationError(f"no such key: {field}") from None
        except TypeError:
            raise overload() from None

    return select


def _optional_field(operand: Optional, field: Any) -> Optional:
    """Of a value that may be missing, which may itself be optional."""
    value: Any = operand
    while isinstance(value, Optional):
        if not value.present:
            return NONE
        value = value.value
    if isinstance(value, Mapping):
        return Optional(True, value[field]) if field in value else NONE
    try:
        return Optional(True, index(value, field))
    except EvaluationError as error:
        if str(error).startswith("index out of bounds"):
            return NONE
        raise


def _has(inner: Run, field: str) -> Run:
    other = _other_name(field)

    def has(frame: Frame) -> Any:
        operand = inner(frame)
        if isinstance(operand, Optional):
            return _optional_field(operand, field).present
        if not isinstance(operand, Mapping):
            raise overload()
        return field in operand or (other is not None and other in operand)

    return has


def _binary(name: str, one: Run, other: Run) -> Run:
    operator, weight = BINARY[name], OPERATORS.get(name)
    if weight is None:

        def plain(frame: Frame) -> Any:
            frame.cost += 1
            return operator(one(frame), other(frame))

        return plain

    def weighed(frame: Frame) -> Any:
        left, right = one(frame), other(frame)
        if type(left) is Optional and name == "_[_]":
            return _optional_field(left, right)
        frame.charge(weight(left, right))
        return operator(left, right)

    return weighed


def _unary(name: str, one: Run) -> Run:
    operator = UNARY[name]

    def run(frame: Frame) -> Any:
        frame.cost += 1
        return operator(one(frame))

    return run


def _and_or(arguments: list[Run], decides: bool) -> Run:
    """The side that decides wins over an error of the other."""
    one, other = arguments

    def run(frame: Frame) -> Any:
        failure: EvaluationError | None = None
        try:
            left = one(frame)
            if left is decides:
                return decides
        except CostExceeded:
            raise
        except EvaluationError as error:
            failure, left = error, not decides
        right = other(frame)
        if right is decides:
            return decides
        if failure is not None:
            raise failure
        if not isinstance(left, bool) or not isinstance(right, bool):
            raise overload()
        return not decides

    return run


def _conditional(arguments: list[Run]) -> Run:
    condition, one, other = arguments

    def run(frame: Frame) -> Any:
        holds = condition(frame)
        if holds is True:
            return one(frame)
        if holds is False:
            return other(frame)
        raise overload()

    return run


def _optional_select(arguments: list[Run]) -> Run:
    operand, key = arguments

    def run(frame: Frame) -> Any:
        frame.cost += 1
        value = operand(frame)
        return _optional_field(value if isinstance(value, Optional) else Optional(True, value), key(frame))

    return run


_SPECIAL = {
    "_&&_": lambda arguments: _and_or(arguments, False),
    "_||_": lambda arguments: _and_or(arguments, True),
    "_?_:_": _conditional,
    "_?._": _optional_select,
    "_[?_]": _optional_select,
}
