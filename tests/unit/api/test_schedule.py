"""Which moments a cron schedule names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.api.types.schedule import parse


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "after", "then"),
    [
        ("* * * * *", "2026-03-01T12:00:00", "2026-03-01T12:01:00"),
        ("* * * * *", "2026-03-01T12:00:30.5", "2026-03-01T12:01:00"),
        ("*/15 * * * *", "2026-03-01T12:00:00", "2026-03-01T12:15:00"),
        ("5/20 * * * *", "2026-03-01T12:00:00", "2026-03-01T12:05:00"),
        ("5/20 * * * *", "2026-03-01T12:25:00", "2026-03-01T12:45:00"),
        ("10-20/5,58 9 * * *", "2026-03-01T09:20:00", "2026-03-01T09:58:00"),
        ("0 0 29 2 ?", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 9 * JAN,jul mon-fri", "2026-03-01T00:00:00", "2026-07-01T09:00:00"),
        ("0 0 1 * sun", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 */2 * sun", "2026-03-02T00:00:00", "2026-03-03T00:00:00"),
        ("0 0 */1 * sun", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("30 6-16/4 * * 1-5", "2026-03-06T14:30:00", "2026-03-09T06:30:00"),
        ("59 23 31 12 *", "2026-12-31T23:59:00", "2027-12-31T23:59:00"),
        ("@hourly", "2026-03-01T12:00:00", "2026-03-01T13:00:00"),
        ("@daily", "2026-03-01T12:00:00", "2026-03-02T00:00:00"),
        ("@midnight", "2026-03-01T12:00:00", "2026-03-02T00:00:00"),
        ("@weekly", "2026-03-02T12:00:00", "2026-03-08T00:00:00"),
        ("@monthly", "2026-03-02T12:00:00", "2026-04-01T00:00:00"),
        ("@yearly", "2026-03-02T12:00:00", "2027-01-01T00:00:00"),
        ("@annually", "2026-03-02T12:00:00", "2027-01-01T00:00:00"),
        ("@every 1h30m", "2026-03-01T12:00:07.9", "2026-03-01T13:30:07"),
        ("@every 100ms", "2026-03-01T12:00:00", "2026-03-01T12:00:01"),
    ],
)
def test_the_next_moment_of_a_schedule(text: str, after: str, then: str) -> None:
    assert parse(text).next(utc(after)) == utc(then)


@pytest.mark.parametrize("text", ["59 23 31 2 *", "0 0 30 2 *", ", * * * *"])
def test_a_schedule_that_never_comes_has_no_next_moment(text: str) -> None:
    assert parse(text).next(utc("2026-03-01T00:00:00")) is None


@pytest.mark.parametrize(
    ("text", "zone", "after", "then"),
    [
        ("0 9 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T07:00:00"),
        ("0 9 * * *", "Asia/Kathmandu", "2026-03-28T12:00:00", "2026-03-29T03:15:00"),
        # The hour after 2:00 does not exist on 29 March: the next day's does.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),
        # On 25 October it comes twice.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00", "2026-10-25T00:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00", "2026-10-26T01:30:00"),
        # Midnight itself was skipped there.
        ("0 1 4 11 *", "America/Sao_Paulo", "2018-11-03T12:00:00", "2018-11-04T03:00:00"),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", "2018-11-05T02:00:00"),
    ],
)
def test_a_schedule_follows_the_clocks_of_its_zone(text: str, zone: str, after: str, then: str) -> None:
    assert parse(text).next(utc(after), ZoneInfo(zone)) == utc(then)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("9-5 * * * *", "beginning of range (9) beyond end of range (5): 9-5"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("-1 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
        ("* * L * *", 'failed to parse int from L: strconv.Atoi: parsing "L": invalid syntax'),
        ("@Daily", "unrecognized descriptor: @Daily"),
        ("@every", "unrecognized descriptor: @every"),
        ("@every day", 'failed to parse duration @every day: time: invalid duration "day"'),
    ],
)
def test_what_is_no_schedule_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        parse(text)


FIELDS = st.tuples(
    st.sampled_from(["*", "*/7", "3", "10-20/3"]),
    st.sampled_from(["*", "*/5", "2", "1,23"]),
    st.sampled_from(["*", "1", "31", "*/10"]),
    st.sampled_from(["*", "2", "3,10"]),
    st.sampled_from(["*", "0", "1-5"]),
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31))


@settings(max_examples=200, deadline=None)
@given(FIELDS, MOMENTS, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_no_moment_that_matches_is_left_out(fields: tuple[str, ...], start: datetime, zone: str) -> None:
    schedule, local = parse(" ".join(fields)), ZoneInfo(zone)
    moments = [start.replace(tzinfo=UTC)]
    while len(moments) < 4 and (moment := schedule.next(moments[-1], local)) is not None:
        moments.append(moment)
    for before, then in pairwise(moments):
        assert schedule._advance(then, local) == (True, then)
        minute = before.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for _ in range(200):
            if minute >= then:
                break
            assert not schedule._advance(minute, local)[0], minute
            minute += timedelta(minutes=1)
