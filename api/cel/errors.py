"""What is wrong with an expression, in upstream's words."""

from __future__ import annotations

import re
from collections.abc import Callable

_STATUS = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_WORDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r'Key not found in map : "?(.*?)"?$', re.DOTALL), lambda found: f"no such key: {found[1]}"),
    (re.compile(r"Index error: index=(-?\d+)"), lambda found: f"index out of bounds: {found[1]}"),
    (re.compile(r"divide by zero"), "division by zero"),
    (re.compile(r"modulus by zero"), "modulus by zero"),
    (re.compile(r"No matching overloads found"), "no such overload"),
    (re.compile(r"Iteration budget exceeded"), "operation cancelled: actual cost limit exceeded"),
    (re.compile(r'No value with name "(.*)" found'), lambda found: f"no such attribute(s): {found[1]}"),
)


class CompileError(Exception):
    """The text is no expression of this environment; the message points at the place."""


class EvaluationError(Exception):
    """The expression has no value for these variables."""


def bare(message: str) -> str:
    """The library's message without its status code."""
    found = _STATUS.match(message)
    return found[1] if found else message


def evaluation_error(message: str) -> EvaluationError:
    text = bare(message)
    for pattern, words in _WORDS:
        if found := pattern.search(text):
            return EvaluationError(words if isinstance(words, str) else words(found))
    return EvaluationError(text)
