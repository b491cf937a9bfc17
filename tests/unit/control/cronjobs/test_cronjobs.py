"""CronJobs, and the expiry of Jobs, against a real API server on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.errors import StatusError, forbidden
from podium.api.types.meta import controller_of, timestamp
from podium.api.types.resources import CRON_JOBS, EVENTS, JOBS, NAMESPACES, Resource
from podium.client.factory import InformerFactory
from podium.control.controller import Context
from podium.control.cronjobs.controller import CronJobController
from podium.control.jobs.expiry import JobExpiry

from ...clock import FakeClock, settle
from ..cluster import TestCluster
from ..watching import PATIENCE

POD = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}}


class Day:
    """The time of day, half a minute past noon at first, and a clock that it runs with."""

    def __init__(self) -> None:
        self.clock = FakeClock(0)
        self.jumped = timedelta()

    def now(self) -> datetime:
        start = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
        return start + self.jumped + timedelta(seconds=self.clock.time())


class Rig(TestCluster):
    """The two controllers at a server; `now` is the time of day for all of them and runs with `clock`."""

    def __init__(self, server: ApiServer, day: Day) -> None:
        super().__init__(server, None)  # type: ignore[arg-type]
        self.day, self.clock, self.now = day, day.clock, day.now
        self.informers = InformerFactory(self.gate)
        self.context = Context(self.gate, self.informers, self.clock, self.now)
        self.controllers = [CronJobController(self.context), JobExpiry(self.context)]
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        self.informers.start()
        self.tasks = [asyncio.create_task(controller.run()) for controller in self.controllers]
        await self.client.create(NAMESPACES, {"metadata": {"name": "test"}})

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.informers.stop()
        await self.context.close()

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    def jump(self, by: timedelta) -> None:
        """Somebody sets the clock."""
        self.day.jumped += by
        self.context.clock_set()

    async def waits(self) -> None:
        """Until a timer is set for the next start."""
        async with asyncio.timeout(PATIENCE):
            while not self.clock.pending:
                await settle(1)

    async def minute(self) -> None:
        """On to shortly after the next full minute."""
        await self.waits()
        self.advance(60.2 - (self.now().timestamp() % 60))

    async def end(self, name: str, kind: str = "Complete") -> None:
        """Ends a Job as its controller does."""
        job = await self.client.get(JOBS, name, "test")
        now = timestamp(self.now())
        interim = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
        entries = [{"type": entry, "status": "True", "lastTransitionTime": now} for entry in (interim, kind)]
        status: Obj = {"startTime": now, "conditions": entries}
        if kind == "Complete":
            status["completionTime"] = now
        await self.client.update(JOBS, {**job, "status": status}, subresource="status")

    async def jobs(self, count: int) -> list[str]:
        """Waits until there are so many Jobs; their names, in order of their time."""
        found = await self.until(JOBS, lambda jobs: len(jobs) == count)
        return sorted(job["metadata"]["name"] for job in found)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    day = Day()
    server = ApiServer(ServerConfig(clock=day.now))
    await server.start()
    made = Rig(server, day)
    try:
        await made.run()
        yield made
    finally:
        await made.close()
        await server.close()


def cron(schedule: str = "* * * * *", **spec: Any) -> Obj:
    job = {"spec": {"template": POD}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tidy", "namespace": "test"},
        "spec": {"schedule": schedule, "jobTemplate": job, **spec},
    }


async def made(rig: Rig, **spec: Any) -> None:
    await rig.client.create(CRON_JOBS, cron(**spec))


async def status(rig: Rig, holds: Callable[[Obj], object]) -> Obj:
    found = await rig.one(CRON_JOBS, "tidy", lambda obj: bool(holds(obj.get("status") or {})))
    return dict(found["status"])


async def event(rig: Rig, reason: str) -> Obj:
    found = await rig.until(EVENTS, lambda events: any(entry["reason"] == reason for entry in events))
    return next(entry for entry in found if entry["reason"] == reason)


async def test_a_job_is_made_each_minute_and_listed(rig: Rig) -> None:
    await made(rig)
    await rig.minute()
    (first,) = await rig.jobs(1)
    await status(rig, lambda found: len(found.get("active", ())) == 1)
    await rig.minute()
    names = await rig.jobs(2)
    assert names[0] == first
    assert int(names[1].removeprefix("tidy-")) == int(first.removeprefix("tidy-")) + 1
    found = await status(rig, lambda found: len(found.get("active", ())) == 2)
    assert found["lastScheduleTime"] == timestamp(rig.now().replace(second=0))
    assert sorted(entry["name"] for entry in found["active"]) == names
    job = await rig.client.get(JOBS, first, "test")
    assert (controller_of(job) or {})["kind"] == "CronJob"
    assert "batch.kubernetes.io/cronjob-scheduled-timestamp" in job["metadata"]["annotations"]
    assert (await event(rig, "SuccessfulCreate"))["message"].startswith("Created job tidy-")


async def test_a_job_that_ends_leaves_the_list(rig: Rig) -> None:
    await made(rig)
    await rig.minute()
    (name,) = await rig.jobs(1)
    await status(rig, lambda found: found.get("active"))
    await rig.end(name)
    found = await status(rig, lambda found: not found.get("active"))
    assert found["lastSuccessfulTime"] == timestamp(rig.now())
    assert (await event(rig, "SawCompletedJob"))[
        "message"
    ] == f"Saw completed job: {name}, condition: Complete"


async def test_the_history_is_kept_short(rig: Rig) -> None:
    await made(rig, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    for kind, left in (("Complete", 1), ("Complete", 1), ("Failed", 1)):
        await rig.minute()
        await status(rig, lambda found: found.get("active"))
        running = (await rig.client.get(CRON_JOBS, "tidy", "test"))["status"]["active"][0]["name"]
        await rig.end(running, kind)
        await status(rig, lambda found: not found.get("active"))
        await rig.jobs(left)


async def test_forbid_makes_no_second_job_while_one_runs(rig: Rig) -> None:
    await made(rig, concurrencyPolicy="Forbid")
    await rig.minute()
    (first,) = await rig.jobs(1)
    await status(rig, lambda found: found.get("active"))
    await rig.minute()
    assert (await event(rig, "JobAlreadyActive"))["type"] == "Normal"
    assert await rig.jobs(1) == [first]
    await rig.end(first)
    # The start that was put off is made up for as soon as that is possible.
    assert len(await rig.jobs(2)) == 2


async def test_replace_deletes_the_job_that_runs(rig: Rig) -> None:
    await made(rig, concurrencyPolicy="Replace")
    await rig.minute()
    (first,) = await rig.jobs(1)
    await status(rig, lambda found: found.get("active"))
    await rig.minute()
    await rig.until(JOBS, lambda jobs: [job["metadata"]["name"] for job in jobs] not in ([], [first]))
    (second,) = await rig.jobs(1)
    found = await status(rig, lambda found: [entry["name"] for entry in found.get("active", ())] == [second])
    assert len(found["active"]) == 1


async def test_a_suspended_cron_job_starts_again_when_resumed(rig: Rig) -> None:
    await made(rig, suspend=True)
    rig.advance(90)
    await rig.client.patch(CRON_JOBS, "tidy", {"spec": {"suspend": False}}, "test")
    await rig.jobs(1)


async def test_a_job_that_goes_missing_leaves_the_list(rig: Rig) -> None:
    await made(rig)
    await rig.minute()
    (name,) = await rig.jobs(1)
    await status(rig, lambda found: found.get("active"))
    await rig.client.delete(JOBS, name, "test", propagation="Background")
    await status(rig, lambda found: not found.get("active"))
    assert (await event(rig, "MissingJob"))["message"] == f"Active job went missing: {name}"


async def test_a_job_made_by_hand_is_told_of_and_belongs_to_the_history(rig: Rig) -> None:
    await made(rig, suspend=True, successfulJobsHistoryLimit=0)
    owner = await rig.client.get(CRON_JOBS, "tidy", "test")
    reference = {
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tidy", "uid": owner["metadata"]["uid"],
        "controller": True,
    }  # fmt: skip
    by_hand = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "by-hand", "namespace": "test", "ownerReferences": [reference]},
        "spec": {"template": POD},
    }
    await rig.client.create(JOBS, by_hand)
    assert "by-hand" in (await event(rig, "UnexpectedJob"))["message"]
    await rig.end("by-hand")
    await rig.jobs(0)


async def test_a_crash_between_making_a_job_and_recording_it_makes_no_second(rig: Rig) -> None:
    lost = [True]
    update = rig.gate.update

    async def failing(resource: Resource, obj: Obj, **more: Any) -> Obj:
        if resource == CRON_JOBS and obj["status"].get("active") and lost.pop():
            lost.append(False)
            raise StatusError(500, "InternalError", "gone")
        return await update(resource, obj, **more)

    rig.gate.update = failing  # type: ignore[method-assign]
    await made(rig)
    await rig.minute()
    (name,) = await rig.jobs(1)
    rig.advance(1)
    found = await status(rig, lambda found: found.get("active"))
    assert [entry["name"] for entry in found["active"]] == [name]
    assert await rig.jobs(1) == [name]


async def test_a_job_that_is_refused_is_told_and_tried_again(rig: Rig) -> None:
    refused = [forbidden("jobs", "", "exceeded quota: small")]
    rig.gate.refuse = lambda resource: refused.pop() if resource == JOBS and refused else None
    await made(rig)
    await rig.minute()
    assert "exceeded quota: small" in (await event(rig, "FailedCreate"))["message"]
    rig.advance(1)
    await rig.jobs(1)


async def test_a_clock_that_jumps_ahead_starts_the_last_missed_job_at_once(rig: Rig) -> None:
    await made(rig, schedule="0 0 * * *")
    await rig.waits()
    rig.jump(timedelta(days=3))
    await rig.jobs(1)


async def test_a_clock_that_jumps_back_goes_on_by_the_new_time(rig: Rig) -> None:
    await made(rig)
    rig.jump(timedelta(days=300))
    (first,) = await rig.jobs(1)
    await status(rig, lambda found: found.get("lastScheduleTime"))
    rig.jump(timedelta(days=-300))
    second, _ = await rig.jobs(2)
    assert int(second.removeprefix("tidy-")) < int(first.removeprefix("tidy-"))


async def test_a_job_goes_when_its_time_after_the_end_is_over(rig: Rig) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "brief", "namespace": "test"},
        "spec": {"template": POD, "ttlSecondsAfterFinished": 100},
    }
    await rig.client.create(JOBS, job)
    await rig.end("brief")
    await rig.waits()
    rig.advance(99)
    await rig.client.patch(JOBS, "brief", {"spec": {"ttlSecondsAfterFinished": 200}}, "test")
    rig.advance(2)
    await rig.jobs(1)
    rig.advance(100)
    # The garbage collector is not here to take the last finalizer.
    going = await rig.one(JOBS, "brief", lambda job: "deletionTimestamp" in job["metadata"])
    assert going["metadata"]["finalizers"] == ["foregroundDeletion"]
