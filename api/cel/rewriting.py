"""What Kubernetes expressions say that the library has no words for, said with what it has."""

from __future__ import annotations

from typing import Any

from podium.api.cel import syntax
from podium.api.cel.errors import CompileError

# The function that stands for `variables.NAME`: it is evaluated when it is called, not before.
VARIABLE = "podium_variable"
PATCH = "JSONPatch"
PATCH_FIELDS = frozenset({"op", "path", "from", "value"})


def rewrite(expr: Any, known: frozenset[str], structs: bool) -> bool:
    """Replaces, in place, `variables.x` by a call and, with `structs`, messages of types Object... and
    JSONPatch by maps; gives whether anything was there to replace. `known` are the names of variables that
    exist."""
    found = False
    for part in syntax.walk(expr):
        found |= _variable(part, known) or (structs and _struct(part))
    return found


def _variable(part: Any, known: frozenset[str]) -> bool:
    if part.WhichOneof("kind") != "select_expr":
        return False
    select = part.select_expr
    if select.operand.WhichOneof("kind") != "ident_expr" or select.operand.ident_expr.name != "variables":
        return False
    if select.field not in known:
        raise CompileError(f"undefined field '{select.field}'")
    name = syntax.new("Expr", id=select.operand.id)
    name.const_expr.string_value = select.field
    here = part.id
    test_only = select.test_only
    part.Clear()
    part.id = here
    if test_only:
        part.const_expr.bool_value = True
    else:
        part.call_expr.function = VARIABLE
        part.call_expr.args.append(name)
    return True


def _struct(part: Any) -> bool:
    if part.WhichOneof("kind") != "struct_expr" or not part.struct_expr.message_name:
        return False
    struct = part.struct_expr
    name = struct.message_name
    if name != PATCH and name != "Object" and not name.startswith("Object."):
        raise CompileError(f"undeclared reference to '{name}' (in container '')")
    for entry in struct.entries:
        field = entry.field_key
        if name == PATCH and field not in PATCH_FIELDS:
            raise CompileError(f"undefined field '{field}'")
        if name != PATCH:
            _expect(entry.value, f"{name}.{field}")
        key = syntax.new("Expr", id=entry.id + 100_000)
        key.const_expr.string_value = unescape(field)
        entry.ClearField("field_key")
        entry.map_key.CopyFrom(key)
    struct.message_name = ""
    return True


def _expect(value: Any, name: str) -> None:
    """A message below a field of a message has to be of the type that belongs there."""
    for inner in _literal(value):
        given = inner.struct_expr.message_name
        if given and given != name:
            why = f'unexpected type name "{given}", expected "{name}"'
            raise CompileError(f"{why}, which matches field name path from root Object type")


def _literal(value: Any) -> list[Any]:
    kind = value.WhichOneof("kind")
    if kind == "struct_expr":
        return [value]
    if kind == "list_expr":
        return [item for item in value.list_expr.elements if item.WhichOneof("kind") == "struct_expr"]
    return []


def unescape(name: str) -> str:
    for escaped, plain in (
        ("__dash__", "-"),
        ("__dot__", "."),
        ("__slash__", "/"),
        ("__underscores__", "__"),
    ):
        name = name.replace(escaped, plain)
    return name
