"""The Common Expression Language as Kubernetes speaks it: compiled once per expression, over plain JSON
values.

The language itself is Google's library; here are the functions that Kubernetes adds, the names of its
errors, and what its library has no room for (mutations' `Object{...}`, lazily evaluated `variables.x`). It
is imported when the first expression is compiled: a server without any does not pay for it.
Source: docs, "Common Expression Language in Kubernetes".
"""

from podium.api.cel.errors import CompileError, EvaluationError
from podium.api.cel.programs import Program, compile_expression
from podium.api.cel.values import conform, escape, shaped

__all__ = [
    "CompileError",
    "EvaluationError",
    "Program",
    "compile_expression",
    "conform",
    "escape",
    "shaped",
]
