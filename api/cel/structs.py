"""`Object{...}` and `JSONPatch{...}`: what mutations are written with. They are maps, whose types and fields
are judged when the expression is compiled."""

from __future__ import annotations

from typing import Any

from podium.api.cel import syntax
from podium.api.cel.errors import CompileError

PATCH = "JSONPatch"
PATCH_FIELDS = frozenset({"op", "path", "from", "value"})


def check(expr: Any, allowed: bool) -> None:
    """Raises CompileError."""
    for part in syntax.walk(expr):
        if part.WhichOneof("kind") == "struct_expr" and part.struct_expr.message_name:
            _check(part.struct_expr, allowed)


def used(expr: Any) -> bool:
    return any(
        part.WhichOneof("kind") == "struct_expr" and part.struct_expr.message_name
        for part in syntax.walk(expr)
    )


def _check(struct: Any, allowed: bool) -> None:
    name = struct.message_name
    if not allowed or (name != PATCH and name != "Object" and not name.startswith("Object.")):
        raise CompileError(f"undeclared reference to '{name}' (in container '')")
    for entry in struct.entries:
        field = entry.field_key
        if name == PATCH and field not in PATCH_FIELDS:
            raise CompileError(f"undefined field '{field}'")
        if name != PATCH:
            _expect(entry.value, f"{name}.{field}")


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
    if "__" not in name:
        return name
    for escaped, plain in (
        ("__dash__", "-"),
        ("__dot__", "."),
        ("__slash__", "/"),
        ("__underscores__", "__"),
    ):
        name = name.replace(escaped, plain)
    return name
