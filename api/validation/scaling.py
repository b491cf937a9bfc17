"""Whole numbers and percentages of pods, as rollouts and disruption budgets have them."""

from __future__ import annotations

from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

Share = int | str


def share(value: Share | None, path: str) -> list[Cause]:
    """A number that is not negative, or a percentage."""
    if value is None:
        return []
    if isinstance(value, str):
        return values.named(value, path, names.percent)
    return values.not_negative(value, path)


def at_most_all(value: Share | None, path: str) -> list[Cause]:
    if isinstance(value, str) and percent(value) > 100:
        return [causes.invalid(path, value, "must not be greater than 100%")]
    return []


def percent(value: Share | None) -> int:
    """The number before the sign, 0 for what is no percentage."""
    if isinstance(value, str) and not names.percent(value):
        return int(value[:-1])
    return 0


def is_zero(value: Share | None) -> bool:
    if isinstance(value, str):
        return percent(value) == 0
    return not value
