"""What is wrong with an expression, in upstream's words."""

from __future__ import annotations

import re

_STATUS = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
OVER_LIMIT = "operation cancelled: actual cost limit exceeded"


class CompileError(Exception):
    """The text is no expression of this environment; the message points at the place."""


class EvaluationError(Exception):
    """The expression has no value for these variables."""


class CostExceeded(EvaluationError):
    """Its evaluation would take too long; no other part of the expression makes up for it."""

    def __init__(self, message: str = OVER_LIMIT) -> None:
        super().__init__(message)


def bare(message: str) -> str:
    """The library's message without its status code."""
    found = _STATUS.match(message)
    return found[1] if found else message
