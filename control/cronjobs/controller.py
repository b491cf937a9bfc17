"""The controller of CronJobs."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import (
    controller_of,
    deleting,
    key_of,
    name_of,
    namespace_of,
    split_key,
    timestamp,
)
from podium.api.types.resources import CRON_JOBS, JOBS, Resource
from podium.control.controller import Context, Controller, namespace_ends, own_key, owner_key
from podium.control.cronjobs.decide import (
    Event,
    active,
    decide,
    job_for,
    observe,
    reference_to,
    surplus,
    without,
)
from podium.control.pods import BY_CONTROLLER, by_controller
from podium.control.written import Written


class CronJobController(Controller):
    """Makes a Job for each scheduled time that has come, and tidies up behind."""

    name = "cronjob-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self.crons = self.watch(CRON_JOBS, own_key)
        self.jobs = self.watch(JOBS, self._job_changed, {BY_CONTROLLER: by_controller})
        self.written = Written(self.crons)
        self.crons.add_handler(self._seen)
        context.on_clock_set(self._clock_set)

    def _seen(self, old: Obj | None, new: Obj | None) -> None:
        cron = new or old
        if cron is not None:
            self.written.seen(key_of(cron), old, new)

    def _job_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for job in (old, new):
            if job is not None and (key := owner_key(job, CRON_JOBS.kind)):
                yield key

    def _clock_set(self) -> None:
        for cron in self.crons.list():
            self.queue.add(key_of(cron))

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        cron = self.crons.get(name, namespace)
        if cron is None:
            self.written.forget(key)
        elif self.written.visible(key):
            await _Round(self, cron).run()


class _Round:
    """One look at one CronJob, and what is done about it."""

    def __init__(self, controller: CronJobController, cron: Obj) -> None:
        self.controller, self.cron = controller, cron
        self.client, self.now = controller.client, controller.context.now()
        self.status: Obj = cron.get("status") or {}
        self.jobs = controller.jobs.by_index(BY_CONTROLLER, cron["metadata"]["uid"])

    async def run(self) -> None:
        try:
            await self._tidy()
            if await self._observe() and not deleting(self.cron):
                await self._start()
        finally:
            await self._write()

    def _tell(self, event: Event) -> None:
        self.controller.recorder.event(self.cron, event.type, event.reason, event.message)

    async def _tidy(self) -> None:
        for job in surplus(self.cron, self.jobs):
            if not deleting(job):
                await self._delete(job)

    async def _delete(self, job: Obj) -> StatusError | None:
        meta = job["metadata"]
        try:
            await self.client.delete(
                JOBS, meta["name"], meta["namespace"], uid=meta["uid"], propagation="Background"
            )
        except StatusError as error:
            if error.code != 404:
                self._tell(Event("Warning", "FailedDelete", f"Deleted job: {error.message}"))
                return error
        self.status = without(self.status, meta["uid"])
        self._tell(Event("Normal", "SuccessfulDelete", f"Deleted job {meta['name']}"))
        return None

    async def _observe(self) -> bool:
        """Brings the status up to date with the Jobs. False when the CronJob has gone meanwhile."""
        found = observe(self.status, self.jobs)
        self.status = found.status
        for event in found.events:
            self._tell(event)
        if found.unknown:
            fresh = await self._get(CRON_JOBS, name_of(self.cron))
            if fresh is None:
                return False
            listed = {reference.get("uid") for reference in active(fresh.get("status") or {})}
            for job in found.unknown:
                if job["metadata"]["uid"] not in listed:
                    text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                    self._tell(Event("Warning", "UnexpectedJob", text))
        for reference in found.gone:
            left = await self._get(JOBS, reference["name"])
            if left is None or left["metadata"]["uid"] != reference.get("uid"):
                text = f"Active job went missing: {reference['name']}"
                self._tell(Event("Normal", "MissingJob", text))
                self.status = without(self.status, reference.get("uid", ""))
        return True

    async def _get(self, resource: Resource, name: str) -> Obj | None:
        try:
            return await self.client.get(resource, name, namespace_of(self.cron))
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _start(self) -> None:
        """Makes the Job whose time has come, and sets the timer for the next."""
        decision = decide({**self.cron, "status": self.status}, self.now)
        for event in decision.events:
            self._tell(event)
        if decision.start is not None:
            if self.cron["spec"].get("concurrencyPolicy") == "Replace":
                await self._replace()
            job = await self._create(job_for(self.cron, decision.start))
            if job is not None:
                self.status = {
                    **self.status,
                    "active": [*active(self.status), reference_to(job)],
                    "lastScheduleTime": timestamp(decision.start),
                }
        if decision.wait is not None:
            self.controller.queue.add_after(key_of(self.cron), decision.wait)

    async def _replace(self) -> None:
        for reference in active(self.status):
            job = await self._get(JOBS, reference["name"])
            if job is None:
                self.status = without(self.status, reference.get("uid", ""))
            elif error := await self._delete(job):
                raise error

    async def _create(self, wanted: Obj) -> Obj | None:
        """The Job, made now or by an attempt whose end was not recorded; None where another one has its
        name."""
        try:
            job = await self.client.create(JOBS, wanted)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                if not namespace_ends(error):
                    text = f"Error creating job: {error.message}"
                    self._tell(Event("Warning", "FailedCreate", text))
                raise
            found = await self._get(JOBS, name_of(wanted))
            owner = controller_of(found) if found else None
            ours = owner is not None and owner["uid"] == self.cron["metadata"]["uid"]
            return found if ours else None
        self._tell(Event("Normal", "SuccessfulCreate", f"Created job {name_of(job)}"))
        return job

    async def _write(self) -> None:
        written = await self.controller.write_status(CRON_JOBS, self.cron, self.status)
        if written is not None:
            self.controller.written.record(key_of(self.cron), written)
