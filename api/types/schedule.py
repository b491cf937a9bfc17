"""Cron schedules: five fields, a word such as `@daily`, or `@every 90m`, and the moments they name.

A day matches when its number and its weekday do; where both fields are restricted, either is enough. An hour
that the clock skips is skipped, one that it repeats comes twice. Source: the cron format of CronJob's
schedule; crontab(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

HORIZON = 5  # years within which a schedule must have a next moment, or has none
_SECOND, _MINUTE, _HOUR, _DAY = (timedelta(seconds=seconds) for seconds in (1, 60, 3600, 86400))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_AMOUNT = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class _Bounds(NamedTuple):
    """A field's least and greatest number, and the names that stand for numbers."""

    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))


@dataclass(frozen=True)
class Schedule:
    """`every` alone counts where it is set. With `both_days` the day of the month and the weekday have to
    match, else one of them."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    both_days: bool = True
    every: timedelta | None = None

    def next(self, after: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first moment after `after` by the clocks of `zone`, in UTC; None when there is none soon."""
        after = after.astimezone(UTC)
        if self.every is not None:
            return after.replace(microsecond=0) + self.every
        if not (self.minutes and self.hours and self.days and self.months and self.weekdays):
            return None
        moment = after.replace(microsecond=0) + _SECOND
        last = moment.astimezone(zone).year + HORIZON
        while moment.astimezone(zone).year <= last:
            found, moment = self._advance(moment, zone)
            if found:
                return moment
        return None

    def _advance(self, moment: datetime, zone: tzinfo) -> tuple[bool, datetime]:
        """(whether it matches, the moment), or a later one from which to look again."""
        local = moment.astimezone(zone)
        if local.month not in self.months:
            year, month = divmod(local.year * 12 + local.month, 12)
            return False, _moment(datetime(year, month + 1, 1), zone)
        if not self._day_matches(local):
            return False, _next_day(local, zone)
        if local.hour not in self.hours:
            return False, moment - timedelta(minutes=local.minute, seconds=local.second) + _HOUR
        if local.minute not in self.minutes:
            return False, moment - timedelta(seconds=local.second) + _MINUTE
        if local.second:
            return False, moment - timedelta(seconds=local.second) + _MINUTE
        return True, moment

    def _day_matches(self, local: datetime) -> bool:
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.both_days else (day or weekday)


def _next_day(local: datetime, zone: tzinfo) -> datetime:
    """The day's first moment, also where the clock skips midnight."""
    midnight = local.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0, fold=0) + _DAY
    return _moment(midnight, zone)


def _moment(naive: datetime, zone: tzinfo) -> datetime:
    """The first moment at which the clocks of `zone` show `naive` or, skipping it, something later."""
    moment = naive.replace(tzinfo=zone).astimezone(UTC)
    while (earlier := moment - _HOUR / 2).astimezone(zone).replace(tzinfo=None) >= naive:
        moment = earlier
    return moment


def parse(text: str) -> Schedule:
    """Raises ValueError, in upstream's words, for what is no schedule."""
    if text.startswith("@every "):
        return Schedule(every=_duration(text.removeprefix("@every "), text))
    if text.startswith("@"):
        if text not in _WORDS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    fields = text.split()
    if not text:
        raise ValueError("empty spec string")
    if len(fields) != len(_FIELDS):
        listed = " ".join(fields)
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{listed}]")
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = (
        _field(field, bounds) for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    return Schedule(minutes, hours, days, months, weekdays, any_day or any_weekday)


def _duration(text: str, whole: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if not found:
        shown = text.replace("\\", "\\\\").replace('"', '\\"')
        raise ValueError(f'failed to parse duration {whole}: time: invalid duration "{shown}"')
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _AMOUNT.findall(found[2]))
    return timedelta(seconds=max(1, int(seconds)) if found[1] != "-" else 1)


def _field(field: str, bounds: _Bounds) -> tuple[frozenset[int], bool]:
    """(the numbers it names, whether it restricts nothing)."""
    numbers: set[int] = set()
    open_ = False
    for part in filter(None, field.split(",")):
        start, end, step, free = _part(part, bounds)
        numbers.update(range(start, end + 1, step))
        open_ = open_ or free
    return frozenset(numbers), open_


def _part(part: str, bounds: _Bounds) -> tuple[int, int, int, bool]:
    """(first, last, step, whether it stands for everything) of `N`, `N-M`, `*`, each with `/STEP` or not."""
    ranged, *steps = part.split("/")
    low, *high = ranged.split("-")
    free = low in ("*", "?")
    if free:
        start, end = bounds.least, bounds.most
    else:
        start = end = _number(low, bounds.names, bounds.least)
        if len(high) > 1:
            raise ValueError(f"too many hyphens: {part}")
        if high:
            end = _number(high[0], bounds.names, bounds.least)
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {part}")
    step = _number(steps[0]) if steps else 1
    if steps and not high:
        end = bounds.most
    _check(part, start, end, step, bounds)
    return start, end, step, free and step == 1


def _check(part: str, start: int, end: int, step: int, bounds: _Bounds) -> None:
    if start < bounds.least:
        raise ValueError(f"beginning of range ({start}) below minimum ({bounds.least}): {part}")
    if end > bounds.most:
        raise ValueError(f"end of range ({end}) above maximum ({bounds.most}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")


def _number(text: str, names: tuple[str, ...] = (), least: int = 0) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + least
    if not _INTEGER.fullmatch(text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
