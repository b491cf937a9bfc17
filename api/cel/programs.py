"""Expressions that are compiled, and their evaluation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from podium.api.cel import patience
from podium.api.cel.errors import CompileError, CostExceeded, EvaluationError, bare, too_deep
from podium.api.cel.frames import CALL_LIMIT, Budget, Frame, Run, Variables
from podium.api.types.remembering import Weighed

if TYPE_CHECKING:
    from cel_expr_python import cel

_LIBRARY = "cel_expr_python.cel"
# Characters of the expressions that are kept compiled: a program is some hundred times as large.
REMEMBERED = 250_000
# What to compile one is worth in steps of an evaluation.
COMPILING = 2_000
# Characters of an expression.
LONGEST = 100_000
_TOO_DEEP = "expression is nested too deeply"


class Program:
    """One expression. `names` are the variables of its environment that it uses; `returns` is what the
    checker found it to be: "bool", "string", "dyn", "list<int>", ..."""

    def __init__(self, source: str, run: Run, names: frozenset[str], returns: str):
        self.source = source
        self.names = names
        self.returns = returns
        self._run = run

    def evaluate(
        self,
        values: Mapping[str, Any],
        variables: Variables | None = None,
        budget: Budget | None = None,
    ) -> Any:
        """The value as JSON-like Python. `values` are the environment's variables: JSON, datetime, timedelta,
        bytes, of which nothing is copied or changed. `variables` gives the value of `variables.NAME`; what
        the evaluation costs is taken from `budget`. It is stopped where it costs more than 1,000,000.
        Raises EvaluationError, of which CostExceeded is one."""
        frame = Frame(values, variables, patience.allowed(CALL_LIMIT))
        try:
            return self._run(frame)
        except RecursionError:
            raise CostExceeded from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise EvaluationError(str(error)) from error
        finally:
            patience.spent(frame.cost)
            if budget is not None:
                budget.spend(min(frame.cost, CALL_LIMIT))


@cache
def _environment(names: tuple[str, ...]) -> cel.Env:
    if _LIBRARY not in sys.modules:
        # Its import takes some 100 ms.
        patience.spent(patience.QUICK + 1)
    from podium.api.cel.environment import environment

    return environment(names)


def parse(source: str) -> Any:
    """The tree, unchecked. Raises CompileError."""
    from podium.api.cel import syntax

    return _parsed(_environment(()), source, syntax)


def count_macros(source: str) -> int:
    """Of those that the library's checker does not know. Raises CompileError."""
    from podium.api.cel import loops, syntax

    return sum(map(loops.is_macro, syntax.calls(parse(source))))


def _parsed(env: cel.Env, source: str, syntax: Any) -> Any:
    if len(source) > LONGEST:
        raise CompileError(f"expression code point size exceeds limit: size: {len(source)}, limit {LONGEST}")
    try:
        return syntax.parse(env.compile(source, disable_check=True).serialize()).expr
    except syntax.DecodeError:
        return _parsed_deep(source)
    except (RuntimeError, ValueError) as error:
        if too_deep(error):
            return _parsed_deep(source)
        raise CompileError(bare(str(error)).rstrip("\n")) from error


def _parsed_deep(source: str) -> Any:
    """In a thread, where the stack begins anew: a level of it takes some calls."""
    from podium.api.cel import parsing

    patience.spent(patience.QUICK + 1)
    try:
        return parsing.parse(source)
    except RecursionError:
        raise CompileError(_TOO_DEEP) from None


_programs: Weighed[Program] = Weighed(REMEMBERED)


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
    key = (source, names, returns, variables, structs)
    return _programs.get(key, len(source), lambda: _compiled(*key))


def _compiled(
    source: str, names: tuple[str, ...], returns: tuple[str, ...], variables: tuple[str, ...], structs: bool
) -> Program:
    from podium.api.cel import structs as messages
    from podium.api.cel import syntax
    from podium.api.cel.building import Builder

    env = _environment(names)
    patience.spent(COMPILING)
    expr = _parsed(env, source, syntax)
    messages.check(expr, structs)
    kind = _checked(env, source, expr)
    try:
        run = Builder(frozenset(names), frozenset(variables)).build(expr)
    except RecursionError:
        raise CompileError(_TOO_DEEP) from None
    if returns and kind.split("<")[0] not in (*returns, "dyn"):
        raise CompileError(f"must evaluate to {' or '.join(returns)}")
    return Program(source, run, frozenset(syntax.free_names(expr) & set(names)), kind)


def _checked(env: cel.Env, source: str, expr: Any) -> str:
    """The type by the library's checker, which knows neither messages nor all macros."""
    from podium.api.cel import loops, structs, syntax

    if structs.used(expr):
        return "dyn"
    if any(map(loops.is_macro, syntax.calls(expr))):
        return "bool" if loops.gives_bool(expr) else "dyn"
    try:
        return str(env.compile(source).return_type().name()).lower()
    except (RuntimeError, ValueError) as error:
        if too_deep(error):
            return "dyn"
        raise CompileError(bare(str(error)).rstrip("\n")) from error


__all__ = ["CompileError", "EvaluationError", "Program", "compile_expression", "parse"]
