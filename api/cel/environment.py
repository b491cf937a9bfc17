"""The library's environments: the standard extensions and Kubernetes' own functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

from podium.api.cel.functions import declarations, pool
from podium.api.cel.programs import Variables
from podium.api.cel.rewriting import VARIABLE

_VARIABLE_ID = "podium_variable_string"
_answering: ContextVar[Variables] = ContextVar("variables")


def environment(names: tuple[str, ...]) -> Any:
    """Where expressions know the variables `names`, of any type."""
    late = cel.Overload(_VARIABLE_ID, cel.Type.DYN, [cel.Type.STRING], impl=_variable)
    return cel.NewEnv(
        pool(),
        variables=dict.fromkeys((*names, "variables"), cel.Type.DYN),
        functions=[cel.FunctionDecl(VARIABLE, [late])],
        extensions=extensions(),
    )


def extensions() -> list[Any]:
    """The standard ones, and Kubernetes' functions."""
    return [
        cel.CelExtension("kubernetes", declarations()),
        ext_math.ExtMath(),
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]


def _variable(name: str) -> Any:
    return _answering.get()(name)


@contextmanager
def calling(variables: Variables) -> Iterator[None]:
    """While it is open, `variables` answers `variables.NAME`."""
    token = _answering.set(variables)
    try:
        yield
    finally:
        _answering.reset(token)
