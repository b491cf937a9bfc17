"""Regular expressions in linear time (RE2): a pattern comes from whoever may write a policy."""

from __future__ import annotations

import re2


def find(text: str, pattern: str) -> str:
    found = re2.search(pattern, text)
    return found.group(0) if found else ""


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in re2.finditer(pattern, text):
        if 0 <= limit <= len(found):
            break
        found.append(match.group(0))
    return found
