"""What is wrong with an expression, in upstream's words."""

from __future__ import annotations

import re

_STATUS = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_SELECTED = re.compile(r"expression of type '(.*?)' cannot be the operand of a select operation")
OVER_LIMIT = "operation cancelled: actual cost limit exceeded"


class CompileError(Exception):
    """The text is no expression of this environment; the message points at the place."""


class EvaluationError(Exception):
    """The expression has no value for these variables."""


class CostExceeded(EvaluationError):
    """Its evaluation would take too long; no other part of the expression makes up for it."""

    def __init__(self, message: str = OVER_LIMIT) -> None:
        super().__init__(message)


def too_deep(error: Exception) -> bool:
    """Whether the library's parser gave up where the language does not."""
    return "recursion" in str(error)


def bare(message: str) -> str:
    """The library's message without its status code, and in upstream's words."""
    found = _STATUS.match(message)
    text = found[1] if found else message
    text = _SELECTED.sub(r"type '\1' does not support field selection", text)
    for name in ("Timestamp", "Duration"):
        text = text.replace(f"google.protobuf.{name}", name.lower())
    return text.replace("cannot be the range of a comprehension", "cannot be range of a comprehension")
