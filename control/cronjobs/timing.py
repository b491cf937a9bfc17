"""When a CronJob is to start its next Job. Source: kubernetes.io "CronJob", section "CronJob limitations"."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from podium.api.types import Obj, schedule
from podium.api.types.meta import parse_time
from podium.api.types.schedule import Schedule

MANY = 100  # missed starts above which something is wrong with a clock
PADDING = 0.1  # seconds that a timer is set late, so that it does not come early by a clock that is adjusted
SKEW = timedelta(minutes=5)  # that clocks may differ by without anybody having set one
JUST_NOW = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


class Missed(NamedTuple):
    """`latest` is the last scheduled time that has come and has not been met, None where there is none.
    `times` is about how many there were since `since`."""

    since: datetime
    latest: datetime | None
    times: int


class Unschedulable(ValueError):
    """The schedule can be read and names no moment, or each moment once too often."""


def zone_of(cron: Obj) -> tzinfo:
    """Raises zoneinfo.ZoneInfoNotFoundError, ValueError, OSError."""
    name = cron["spec"].get("timeZone")
    return zoneinfo.ZoneInfo(name) if name else UTC


def schedule_of(cron: Obj) -> Schedule:
    """Raises ValueError."""
    return schedule.parse(cron["spec"]["schedule"])


def since(cron: Obj, now: datetime) -> datetime:
    """What starts are counted from. A time far in the future was written by a clock that has been set back
    since. Waiting for it to come again could take years: then, what came due just now counts."""
    last = (cron.get("status") or {}).get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
    moment = parse_time(last)
    return moment if moment - now < SKEW else now - JUST_NOW


def missed(cron: Obj, plan: Schedule, zone: tzinfo, now: datetime, *, deadline: bool) -> Missed:
    """With `deadline`, starts that are later than `startingDeadlineSeconds` are not looked for. Raises
    Unschedulable."""
    earliest = since(cron, now)
    seconds = cron["spec"].get("startingDeadlineSeconds")
    if deadline and seconds is not None:
        earliest = max(earliest, now - timedelta(seconds=seconds))
    first = plan.next(earliest, zone)
    second = plan.next(first, zone) if first is not None else None
    if first is None or second is None:
        raise Unschedulable("time difference between two schedules is less than 1 second")
    if now < first:
        return Missed(earliest, None, 0)
    if now < second:
        return Missed(earliest, first, 0)
    gap = int((second - first).total_seconds())
    times = int((now - first).total_seconds()) // gap + 1
    return Missed(earliest, _latest(plan, zone, first, now), times)


def _latest(plan: Schedule, zone: tzinfo, first: datetime, now: datetime) -> datetime | None:
    """The last moment up to now, of which `first` is one. There can be millions between the two, so that the
    time in which it lies is halved instead."""
    if plan.every is not None:
        return first + (now - first) // plan.every * plan.every

    def comes(start: datetime) -> bool:
        moment = plan.next(start, zone)
        return moment is not None and moment <= now

    before, high, window = first - _SECOND, now, JUST_NOW
    while not comes(low := max(now - window, before)):
        high, window = low, 2 * window
    while high - low > _SECOND:
        middle = low + (high - low) / 2
        low, high = (middle, high) if comes(middle) else (low, middle)
    return plan.next(low, zone)


def next_in(cron: Obj, plan: Schedule, zone: tzinfo, now: datetime) -> float | None:
    """Seconds until the next start; None when there is none in the years to come."""
    try:
        found = missed(cron, plan, zone, now, deadline=False)
    except Unschedulable:
        start = now
    else:
        start = found.latest or (now if found.times else found.since)
    moment = plan.next(start, zone)
    return (moment - now).total_seconds() + PADDING if moment is not None else None
