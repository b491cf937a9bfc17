"""Expressions in the specs of webhooks and policies."""

from __future__ import annotations

from podium.api.cel import CompileError, compile_expression
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes


def fault(
    expression: str,
    path: str,
    names: tuple[str, ...],
    returns: tuple[str, ...] = (),
    variables: tuple[str, ...] = (),
    *,
    structs: bool = False,
) -> list[Cause]:
    """What is wrong with an expression at `path`, as compile_expression takes it."""
    if not expression.strip():
        return [causes.required(path)]
    try:
        compile_expression(expression, names, returns, variables, structs)
    except CompileError as error:
        told = str(error)
        if not told.startswith("must "):
            told = f"compilation failed: {told}"
        return [causes.invalid(path, expression, told)]
    return []


def conditions(entries: list[Obj] | None, path: str, names: tuple[str, ...]) -> list[Cause]:
    """matchConditions."""
    found: list[Cause] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries or ()):
        name, here = entry.get("name") or "", f"{path}[{index}]"
        if not name:
            found.append(causes.required(f"{here}.name"))
        elif name in seen:
            found.append(causes.duplicate(f"{here}.name", name))
        seen.add(name)
        found += fault(entry.get("expression") or "", f"{here}.expression", names, ("bool",))
    if len(entries or ()) > 64:
        found.append(causes.too_many(path, len(entries or ()), 64))
    return found
