"""Whether a text is a cron schedule: five fields, or a word such as `@daily`. Source: the cron format of
CronJob's schedule."""

from __future__ import annotations

import re

WORDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Each field's least and greatest number, and the names that stand for numbers.
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?P<low>\*|\?|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?")
_EVERY = re.compile(r"@every (\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")


def fault(text: str) -> str:
    """What is wrong with a schedule, "" when nothing is."""
    if text.startswith("@"):
        if text in WORDS or _EVERY.fullmatch(text):
            return ""
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        listed = " ".join(fields)
        return f"expected exactly 5 fields, found {len(fields)}: [{listed}]"
    for field, bounds in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if wrong := _part(part, *bounds):
                return wrong
    return ""


def _part(part: str, least: int, most: int, names: dict[str, int]) -> str:
    found = _PART.fullmatch(part)
    if not found:
        return f"failed to parse int from {part}"
    if found["step"] is not None and int(found["step"]) == 0:
        return f"step of range should be a positive number: {part}"
    if found["low"] in "*?":
        return "" if not found["high"] else f"too many hyphens: {part}"
    numbers = []
    for text in (found["low"], found["high"] or found["low"]):
        number = names.get(text.lower(), int(text) if text.isdigit() else -1)
        if number < 0:
            return f"failed to parse int from {text}"
        numbers.append(number)
    low, high = numbers
    if low < least:
        return f"beginning of range ({low}) below minimum ({least}): {part}"
    if high > most:
        return f"end of range ({high}) above maximum ({most}): {part}"
    return f"beginning of range ({low}) beyond end of range ({high}): {part}" if low > high else ""
