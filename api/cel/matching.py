"""Regular expressions in linear time (RE2): a pattern comes from whoever may write a policy."""

from __future__ import annotations

from typing import Any

import re2

from podium.api.cel.errors import EvaluationError
from podium.api.types.remembering import remembered


# Each may take some megabytes while it matches.
@remembered(128)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise EvaluationError(f"error parsing regexp: {text}") from None


def matches(text: str, pattern: str) -> bool:
    return _compiled(pattern).search(text) is not None


def find(text: str, pattern: str) -> str:
    found = _compiled(pattern).search(text)
    return str(found.group(0)) if found else ""


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in _compiled(pattern).finditer(text):
        if 0 <= limit <= len(found):
            break
        found.append(match.group(0))
    return found
