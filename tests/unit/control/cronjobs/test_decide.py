"""Whether a CronJob makes a Job now, and when it looks again."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.meta import timestamp
from podium.control.cronjobs.decide import SCHEDULED, decide, job_for, observe, surplus

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SOON = NOON + timedelta(seconds=0.1)


def cron(
    schedule: str = "0 * * * *", *, created: datetime = NOON - timedelta(minutes=50), **spec: Any
) -> Obj:
    status: Obj = spec.pop("status", {})
    meta = {
        "name": "tidy", "namespace": "test", "uid": "cron", "creationTimestamp": timestamp(created),
        "annotations": {}, "labels": {},
    }  # fmt: skip
    template = {
        "metadata": {"labels": {"app": "tidy"}, "annotations": {"a": "b"}},
        "spec": {"completions": 1},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta,
        "spec": {"schedule": schedule, "concurrencyPolicy": "Allow", "jobTemplate": template, **spec},
        "status": status,
    }


def a_job(name: str, ended: str = "", *, started: float = 0, completed: float = 0) -> Obj:
    status: Obj = {"startTime": timestamp(NOON - timedelta(seconds=started))}
    if ended:
        status["conditions"] = [{"type": ended, "status": "True"}]
    if ended == "Complete":
        status["completionTime"] = timestamp(NOON - timedelta(seconds=completed))
    return {"metadata": {"name": name, "namespace": "test", "uid": name}, "status": status}


def ref(name: str) -> Obj:
    return {"kind": "Job", "name": name, "namespace": "test", "uid": name}


def reasons(of: Obj, now: datetime = SOON) -> list[str]:
    return [event.reason for event in decide(of, now).events]


def test_a_job_is_due_when_its_time_has_come() -> None:
    found = decide(cron(), SOON)
    assert (found.start, found.wait, found.events) == (NOON, pytest.approx(3600), [])


def test_until_then_a_cron_job_waits() -> None:
    found = decide(cron(), NOON - timedelta(seconds=30))
    assert (found.start, found.wait) == (None, pytest.approx(30.1))


def test_a_time_that_was_met_is_not_met_again() -> None:
    done = cron(status={"lastScheduleTime": timestamp(NOON)})
    assert decide(done, SOON).start is None
    listed = cron(status={"active": [ref(f"tidy-{int(NOON.timestamp()) // 60}")]})
    assert decide(listed, SOON).start is None


def test_of_several_missed_starts_only_the_last_is_made_up_for() -> None:
    found = decide(cron("*/5 * * * *", created=NOON - timedelta(minutes=44)), SOON)
    assert (found.start, found.events) == (NOON, [])


def test_too_many_missed_starts_are_told_and_the_last_is_made_up_for() -> None:
    found = decide(cron("* * * * *", created=NOON - timedelta(days=400)), SOON)
    assert found.start == NOON
    assert [event.reason for event in found.events] == ["TooManyMissedTimes"]


def test_an_irregular_schedule_finds_its_last_start() -> None:
    found = decide(cron("30 6-16/4 * * 1-5", created=NOON - timedelta(days=30)), SOON)
    assert found.start == datetime(2026, 2, 27, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "created", "latest"),
    [
        ("* 0 1 1 *", timedelta(days=1000), datetime(2026, 1, 1, 0, 59, tzinfo=UTC)),
        ("* * * 1 *", timedelta(days=1000), datetime(2026, 1, 31, 23, 59, tzinfo=UTC)),
        ("* * * * *", timedelta(days=9000), NOON),
        ("@every 7m", timedelta(minutes=50), NOON - timedelta(minutes=1)),
    ],
)
def test_the_last_missed_start_is_found_fast_among_any_number(
    schedule: str, created: timedelta, latest: datetime
) -> None:
    of = cron(schedule, created=NOON - created)
    before = time.process_time()
    assert decide(of, SOON).start == latest
    assert time.process_time() - before < 0.1


def test_a_start_that_is_too_late_is_told_and_left_out() -> None:
    late = cron("0 11 * * *", created=NOON - timedelta(days=2), startingDeadlineSeconds=600)
    assert decide(late, SOON).start is None
    assert decide(late, SOON).wait == pytest.approx(23 * 3600)
    just = cron("0 11 * * *", created=NOON - timedelta(days=2), startingDeadlineSeconds=3700)
    assert decide(just, SOON).start == NOON - timedelta(hours=1)


def test_with_a_deadline_old_misses_do_not_count() -> None:
    assert reasons(cron("* * * * *", created=NOON - timedelta(days=400), startingDeadlineSeconds=90)) == []


def test_a_suspended_cron_job_makes_nothing_and_waits_for_a_change() -> None:
    found = decide(cron(suspend=True), SOON)
    assert (found.start, found.wait, found.events) == (None, None, [])


def test_forbid_waits_for_the_job_before() -> None:
    busy = cron(concurrencyPolicy="Forbid", status={"active": [ref("tidy-1")]})
    assert decide(busy, SOON).start is None
    assert reasons(busy) == ["JobAlreadyActive"]
    assert decide(cron(concurrencyPolicy="Forbid"), SOON).start == NOON


@pytest.mark.parametrize("policy", ["Allow", "Replace"])
def test_the_other_policies_do_not_wait(policy: str) -> None:
    assert decide(cron(concurrencyPolicy=policy, status={"active": [ref("x")]}), SOON).start == NOON


def test_a_schedule_that_never_comes_is_told() -> None:
    found = decide(cron("59 23 31 2 *"), SOON)
    assert (found.start, found.wait) == (None, None)
    assert [event.reason for event in found.events] == ["InvalidSchedule"]


def test_a_zone_that_is_unknown_here_is_told() -> None:
    assert reasons(cron(timeZone="Mars/Olympus")) == ["UnknownTimeZone"]


def test_a_schedule_that_cannot_be_read_is_told() -> None:
    assert reasons(cron("every noon")) == ["UnparseableSchedule"]


def test_a_time_zone_moves_the_schedule() -> None:
    berlin = cron("0 13 * * *", created=NOON - timedelta(minutes=5), timeZone="Europe/Berlin")
    assert decide(berlin, SOON).start == NOON
    annotations = job_for(berlin, NOON)["metadata"]["annotations"]
    assert annotations == {"a": "b", SCHEDULED: "2026-03-01T13:00:00+01:00"}


def test_a_clock_that_was_ahead_and_set_back_does_not_stop_the_schedule() -> None:
    ahead = timestamp(NOON + timedelta(days=365))
    for of in (cron(status={"lastScheduleTime": ahead}), cron(created=NOON + timedelta(days=365))):
        before = decide(of, NOON - timedelta(seconds=30))
        assert (before.start, before.wait) == (None, pytest.approx(30.1))
        assert decide(of, SOON).start == NOON


def test_a_clock_that_was_set_back_a_little_makes_no_job_twice() -> None:
    done = cron(status={"lastScheduleTime": timestamp(NOON), "active": []})
    assert decide(done, NOON - timedelta(seconds=1)).start is None
    assert decide(done, SOON).start is None


def test_a_job_is_named_after_its_minute_and_made_from_the_template() -> None:
    job = job_for(cron(), NOON)
    meta = job["metadata"]
    assert meta["name"] == f"tidy-{int(NOON.timestamp()) // 60}"
    assert meta["labels"] == {"app": "tidy"}
    assert meta["annotations"][SCHEDULED] == "2026-03-01T12:00:00Z"
    assert meta["ownerReferences"][0]["controller"]
    assert job["spec"] == {"completions": 1}


def test_the_history_keeps_the_newest() -> None:
    jobs = [
        a_job("one", "Complete", started=300),
        a_job("two", "Complete", started=200),
        a_job("three", "Complete", started=100),
        a_job("bad", "Failed", started=50),
        a_job("running", started=400),
    ]
    of = cron(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0)
    assert [job["metadata"]["name"] for job in surplus(of, jobs)] == ["one", "bad"]
    assert surplus(cron(), jobs) == []


def test_jobs_that_ended_leave_the_list_and_tell_when_one_succeeded() -> None:
    status = {"active": [ref("done"), ref("bad"), ref("running"), ref("lost")]}
    jobs = [
        a_job("done", "Complete", completed=60),
        a_job("earlier", "Complete", completed=90),
        a_job("bad", "Failed"),
        a_job("running"),
        a_job("strange"),
    ]
    found = observe(status, jobs)
    assert [entry["name"] for entry in found.status["active"]] == ["running", "lost"]
    assert found.status["lastSuccessfulTime"] == timestamp(NOON - timedelta(seconds=60))
    assert [event.message for event in found.events] == [
        "Saw completed job: done, condition: Complete",
        "Saw completed job: bad, condition: Failed",
    ]
    assert [job["metadata"]["name"] for job in found.unknown] == ["strange"]
    assert [entry["name"] for entry in found.gone] == ["lost"]
