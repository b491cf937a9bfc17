"""The walk over an expression's tree that adds up what its parts cost at most.

The unit is the access of a field. Strings cost a tenth of their length when they are gone through, regular
expressions a quarter of their pattern's length for that; loops cost what their range can hold times what one
turn costs.

Source: docs, "Resource use of validation rules"; KEP-2876, "Resource constraints".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.cel import syntax
from podium.api.cel.amounts import LIST, MAP, MESSAGE, Found, Size, cap, union
from podium.api.cel.callcosts import operation
from podium.api.cel.sizes import DYN, Shape


class Estimator:
    """For one environment: the shapes of its variables."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes

    def cost(self, expr: Any) -> int:
        return self._of(expr, {}).cost

    def _of(self, expr: Any, local: Mapping[str, Found]) -> Found:
        match expr.WhichOneof("kind"):
            case "const_expr":
                return _constant(expr.const_expr)
            case "ident_expr":
                name = expr.ident_expr.name
                return (
                    local[name]._replace(cost=1) if name in local else Found(1, self._shapes.get(name, DYN))
                )
            case "select_expr":
                return self._select(expr.select_expr, local)
            case "call_expr":
                return self._call(expr.call_expr, local)
            case "list_expr":
                return self._list(expr.list_expr, local)
            case "struct_expr":
                return self._struct(expr.struct_expr, local)
            case "comprehension_expr":
                return self._loop(expr.comprehension_expr, local)
        return Found(0)

    def _select(self, select: Any, local: Mapping[str, Found]) -> Found:
        operand = self._of(select.operand, local)
        if select.test_only:
            return Found(operand.cost, Shape("bool"))
        here = 1 if operand.type.kind in ("map", "object") else 0
        if operand.type.kind == "object":
            inner = operand.type.fields.get(select.field, DYN)
        else:
            inner = operand.type.item or DYN
        return Found(cap(operand.cost + here), inner)

    def _list(self, listed: Any, local: Mapping[str, Found]) -> Found:
        items = [self._of(item, local) for item in listed.elements]
        inside = union(item.size for item in items)
        kinds = {item.type.kind for item in items}
        item = Shape(kinds.pop()) if len(kinds) == 1 else DYN
        cost = cap(LIST + sum(each.cost for each in items))
        count = Size(len(items), len(items))
        return Found(cost, Shape("list", item=item), count, (Size(1, 1), inside))

    def _struct(self, struct: Any, local: Mapping[str, Found]) -> Found:
        values = [self._of(entry.value, local) for entry in struct.entries]
        cost = sum(each.cost for each in values)
        if struct.message_name:
            return Found(cap(cost + MESSAGE), Shape("object"))
        keys = [self._of(entry.map_key, local) for entry in struct.entries]
        cost += sum(each.cost for each in keys)
        entries = (union(key.size for key in keys), union(value.size for value in values))
        count = Size(len(values), len(values))
        return Found(cap(cost + MAP), Shape("map"), count, entries)

    def _loop(self, loop: Any, local: Mapping[str, Found]) -> Found:
        over, start = self._of(loop.iter_range, local), self._of(loop.accu_init, local)
        if syntax.is_bind(loop):
            result = self._of(loop.result, {**local, loop.accu_var: start})
            return result._replace(cost=cap(over.cost + start.cost + result.cost))
        return self._turns(loop, over, start, local)

    def _turns(self, loop: Any, over: Found, start: Found, local: Mapping[str, Found]) -> Found:
        first, second = _turn(over, two=bool(loop.iter_var2))
        inner = {**local, loop.accu_var: start, loop.iter_var: first}
        if loop.iter_var2:
            inner[loop.iter_var2] = second
        turn = self._of(loop.loop_condition, inner).cost
        step = self._of(loop.loop_step, inner)
        result = self._of(loop.result, inner)
        times = over.size
        cost = cap(over.cost + start.cost + result.cost + times.most * cap(turn + step.cost))
        if loop.accu_init.WhichOneof("kind") in ("list_expr", "struct_expr"):
            return Found(cost, step.type, times, step.entries)
        return Found(cost, result.type, start.known)

    def _call(self, call: Any, local: Mapping[str, Found]) -> Found:
        target = None
        name = syntax.namespaced(call, local) or call.function
        if call.HasField("target") and name == call.function:
            target = self._of(call.target, local)
        arguments = [self._of(argument, local) for argument in call.args]
        found = operation(name, target, arguments)
        inner = sum(each.cost for each in arguments)
        if name == "_?_:_":
            inner = arguments[0].cost + max(arguments[1].cost, arguments[2].cost)
        return found._replace(cost=cap(found.cost + inner + (target.cost if target else 0)))


def _constant(constant: Any) -> Found:
    kind = constant.WhichOneof("kind")
    if kind == "string_value":
        count = len(constant.string_value)
        return Found(0, Shape("string"), Size(count, count))
    if kind == "bytes_value":
        count = len(constant.bytes_value)
        return Found(0, Shape("bytes"), Size(count, count))
    names = {"bool_value": "bool", "int64_value": "int", "uint64_value": "uint", "double_value": "double"}
    return Found(0, Shape(names.get(kind, "null")), Size(1, 1))


def _turn(over: Found, *, two: bool) -> tuple[Found, Found]:
    """What the variables of a loop are."""
    keys, values = over.entries or (None, None)
    value = Found(1, over.type.item or DYN, None if over.type.item and over.type.item.most else values)
    if over.type.kind == "list":
        return (Found(1, Shape("int")), value) if two else (value, value)
    return Found(1, over.type.key or DYN, None if over.type.key else keys), value
