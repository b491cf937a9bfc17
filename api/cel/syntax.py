"""The tree of an expression: read from the library in the form that all CEL implementations
exchange (cel.expr.ParsedExpr, whose protocol buffer is described here with the parts that are used)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError

__all__ = ["DecodeError", "calls", "children", "free_names", "is_bind", "namespaced", "parse", "walk"]

_STRING, _MESSAGE, _INT64, _INT32, _BOOL, _BYTES = 9, 11, 3, 5, 8, 12
_UINT64, _DOUBLE = 4, 1
_REPEATED = "repeated"
LIBRARIES = frozenset({"cel", "format", "ip", "jsonpatch", "lists", "optional", "sets", "strings"})
# Message -> field -> (number, type or message's name, repeated or the oneof it belongs to).
_MESSAGES: dict[str, dict[str, tuple[int, int | str, str]]] = {
    "ParsedExpr": {"expr": (2, "Expr", ""), "source_info": (3, _BYTES, "")},
    "Expr": {
        "id": (2, _INT64, ""),
        "const_expr": (3, "Constant", "kind"),
        "ident_expr": (4, "Ident", "kind"),
        "select_expr": (5, "Select", "kind"),
        "call_expr": (6, "Call", "kind"),
        "list_expr": (7, "CreateList", "kind"),
        "struct_expr": (8, "CreateStruct", "kind"),
        "comprehension_expr": (9, "Comprehension", "kind"),
    },
    "Constant": {
        "null_value": (1, _INT32, "kind"),
        "bool_value": (2, _BOOL, "kind"),
        "int64_value": (3, _INT64, "kind"),
        "uint64_value": (4, _UINT64, "kind"),
        "double_value": (5, _DOUBLE, "kind"),
        "string_value": (6, _STRING, "kind"),
        "bytes_value": (7, _BYTES, "kind"),
    },
    "Ident": {"name": (1, _STRING, "")},
    "Select": {"operand": (1, "Expr", ""), "field": (2, _STRING, ""), "test_only": (3, _BOOL, "")},
    "Call": {"target": (1, "Expr", ""), "function": (2, _STRING, ""), "args": (3, "Expr", _REPEATED)},
    "CreateList": {"elements": (1, "Expr", _REPEATED), "optional_indices": (2, _INT32, _REPEATED)},
    "CreateStruct": {"message_name": (1, _STRING, ""), "entries": (2, "Entry", _REPEATED)},
    "Entry": {
        "id": (1, _INT64, ""),
        "field_key": (2, _STRING, "key"),
        "map_key": (3, "Expr", "key"),
        "value": (4, "Expr", ""),
        "optional_entry": (5, _BOOL, ""),
    },
    "Comprehension": {
        "iter_var": (1, _STRING, ""),
        "iter_range": (2, "Expr", ""),
        "accu_var": (3, _STRING, ""),
        "accu_init": (4, "Expr", ""),
        "loop_condition": (5, "Expr", ""),
        "loop_step": (6, "Expr", ""),
        "result": (7, "Expr", ""),
        "iter_var2": (8, _STRING, ""),
    },
}


@cache
def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="podium/cel.proto", package="podium.cel", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        groups: list[str] = []
        for field, (number, kind, rule) in fields.items():
            entry = message.field.add(name=field, number=number, label=3 if rule == _REPEATED else 1)
            if isinstance(kind, str):
                entry.type, entry.type_name = _MESSAGE, f".podium.cel.{kind}"  # type: ignore[assignment]
            else:
                entry.type = kind  # type: ignore[assignment]
            if rule and rule != _REPEATED:
                if rule not in groups:
                    groups.append(rule)
                    message.oneof_decl.add(name=rule)
                entry.oneof_index = groups.index(rule)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"podium.cel.{name}"))
        for name in _MESSAGES
    }


def parse(serialized: bytes) -> Any:
    """A ParsedExpr from what the library serialized. Raises DecodeError where it is nested too deeply."""
    packed = Packed.FromString(serialized)
    return _classes()["ParsedExpr"].FromString(packed.value)


def is_bind(loop: Any) -> bool:
    """`cel.bind(name, value, expression)`, which is written as a loop that never turns."""
    return (
        loop.iter_range.WhichOneof("kind") == "list_expr"
        and not loop.iter_range.list_expr.elements
        and loop.loop_condition.WhichOneof("kind") == "const_expr"
        and not loop.loop_condition.const_expr.bool_value
        and loop.accu_var != "@result"
    )


def namespaced(call: Any, variables: Any) -> str | None:
    """The name of a function that is called like a method of its library (`sets.contains(a, b)`)."""
    if not call.HasField("target") or call.target.WhichOneof("kind") != "ident_expr":
        return None
    library = call.target.ident_expr.name
    if library in LIBRARIES and library not in variables:
        return f"{library}.{call.function}"
    return None


def children(expr: Any) -> Iterator[Any]:
    """The expressions directly below."""
    kind = expr.WhichOneof("kind")
    if kind == "select_expr":
        yield expr.select_expr.operand
    elif kind == "call_expr":
        if expr.call_expr.HasField("target"):
            yield expr.call_expr.target
        yield from expr.call_expr.args
    elif kind == "list_expr":
        yield from expr.list_expr.elements
    elif kind == "struct_expr":
        for entry in expr.struct_expr.entries:
            if entry.WhichOneof("key") == "map_key":
                yield entry.map_key
            yield entry.value
    elif kind == "comprehension_expr":
        loop = expr.comprehension_expr
        yield from (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)


def walk(expr: Any) -> Iterator[Any]:
    """The expression and all below."""
    pending = [expr]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(children(current))


def calls(expr: Any) -> Iterator[Any]:
    return (part.call_expr for part in walk(expr) if part.WhichOneof("kind") == "call_expr")


def free_names(expr: Any, bound: frozenset[str] = frozenset()) -> set[str]:
    """The variables that the expression takes from its environment."""
    kind = expr.WhichOneof("kind")
    if kind == "ident_expr":
        name = expr.ident_expr.name
        return set() if name in bound else {name}
    found: set[str] = set()
    if kind == "comprehension_expr":
        loop = expr.comprehension_expr
        inner = bound | {loop.iter_var, loop.iter_var2, loop.accu_var}
        found |= free_names(loop.iter_range, bound) | free_names(loop.accu_init, bound)
        for part in (loop.loop_condition, loop.loop_step, loop.result):
            found |= free_names(part, inner)
        return found
    for child in children(expr):
        found |= free_names(child, bound)
    return found
