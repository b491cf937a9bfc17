"""The Common Expression Language as Kubernetes speaks it: compiled once per expression, over plain JSON
values.

Expressions are parsed and checked by Google's library, which is imported when the first expression is
compiled: a server without any does not pay for it. They are evaluated here, on the values as they are, with
each step counted, so that none takes longer than it may. What an expression may cost at most is estimated
from the schema of what it looks at (`estimate`).
Source: docs, "Common Expression Language in Kubernetes".
"""

from podium.api.cel.errors import CompileError, CostExceeded, EvaluationError
from podium.api.cel.frames import BUDGET, CONDITIONS_BUDGET, Budget
from podium.api.cel.programs import Program, compile_expression
from podium.api.cel.values import conform, escape, plain, shaped

__all__ = [
    "BUDGET",
    "CONDITIONS_BUDGET",
    "Budget",
    "CompileError",
    "CostExceeded",
    "EvaluationError",
    "Program",
    "compile_expression",
    "conform",
    "escape",
    "plain",
    "shaped",
]
