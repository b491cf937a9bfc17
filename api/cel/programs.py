"""Expressions that are compiled, and their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from podium.api.cel.errors import CompileError, EvaluationError, bare, evaluation_error

if TYPE_CHECKING:
    from cel_expr_python import cel

# An evaluation may go round 10,000 times in all of its loops: the library's own bound.
Variables = Callable[[str], Any]
REMEMBERED = 2_000


class Program:
    """One expression. `names` are the variables of its environment that it uses; `returns` is what the
    checker found it to be: "bool", "string", "dyn", "list(int)", ..."""

    def __init__(
        self, source: str, expression: cel.Expression, names: frozenset[str], returns: str, lazy: bool
    ):
        self.source = source
        self.names = names
        self.returns = returns
        self._expression = expression
        self._lazy = lazy

    def evaluate(self, values: Mapping[str, Any], variables: Variables | None = None) -> Any:
        """The value as JSON-like Python. `values` are the environment's variables: JSON, datetime, timedelta,
        bytes; those that the expression does not use are not looked at. `variables` gives the value of
        `variables.NAME`. Raises EvaluationError."""
        from podium.api.cel.environment import calling

        used = {name: values[name] for name in self.names if name in values}
        try:
            if self._lazy and variables is not None:
                with calling(variables):
                    result = self._expression.eval(data=used)
            else:
                result = self._expression.eval(data=used)
            found = result.plain_value()
            kind = result.type().name()
        except (RuntimeError, TypeError, ValueError) as error:
            raise evaluation_error(str(error)) from error
        if kind in ("ERROR", "*error*"):
            raise evaluation_error(str(found))
        return found


@cache
def _environment(names: tuple[str, ...]) -> cel.Env:
    from podium.api.cel.environment import environment

    return environment(names)


@lru_cache(maxsize=REMEMBERED)
def compile_expression(
    source: str,
    names: tuple[str, ...],
    returns: tuple[str, ...] = (),
    variables: tuple[str, ...] = (),
    structs: bool = False,
) -> Program:
    """`names` are the variables that the expression may use, all of any type; `variables` those that it may
    call `variables.NAME`. `returns` are the types it may have ("bool", "string", "list", "map"); one whose
    type is only known when it runs is taken. `structs` allows `Object{...}` and `JSONPatch{...}`. Raises
    CompileError."""
    from podium.api.cel import rewriting, syntax

    env = _environment(names)
    try:
        parsed = syntax.parse(env.compile(source, disable_check=True).serialize())
        free = frozenset(syntax.free_names(parsed.expr) & set(names))
        changed = rewriting.rewrite(parsed.expr, frozenset(variables), structs)
        if changed and structs:
            expression, kind = env.deserialize(syntax.pack(parsed)), "dyn"
        else:
            checked = env.compile(source)
            kind = checked.return_type().name().lower()
            expression = env.deserialize(syntax.pack(parsed)) if changed else checked
    except (RuntimeError, ValueError) as error:
        raise CompileError(bare(str(error)).rstrip("\n")) from error
    if returns and kind.split("<")[0] not in (*returns, "dyn"):
        raise CompileError(f"must evaluate to {' or '.join(returns)}")
    return Program(source, expression, free, kind, changed)


__all__ = ["CompileError", "EvaluationError", "Program", "compile_expression"]
