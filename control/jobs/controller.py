"""The controller of Jobs."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, namespace_of, split_key, timestamp
from podium.api.types.resources import JOBS, PODS
from podium.api.types.selectors import from_label_selector
from podium.client.workqueue import WorkQueue
from podium.control import conditions
from podium.control.claims import Claimer
from podium.control.controller import Context, Controller
from podium.control.expectations import Expectations
from podium.control.jobs import facts, tracking
from podium.control.jobs.backoff import Failures
from podium.control.jobs.plan import plan
from podium.control.jobs.verdict import REACHED, Verdict, condition, deadline_in, decide, is_complete
from podium.control.jobs.view import View
from podium.control.jobs.work import Done, PodWork
from podium.control.pods import BY_CONTROLLER, by_controller, controlled, orphans
from podium.control.written import Written

GATHER = 0.1  # seconds that changes of a job's pods are gathered
RETRY, RETRY_MOST = 0.05, 60.0  # seconds before work that failed is tried again


class JobController(Controller):
    """Runs a Job's pods, counts those that end, and ends the job."""

    name = "job-controller"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.queue = WorkQueue(
            clock=context.clock, base_delay=RETRY, max_delay=RETRY_MOST,
            meter=context.numbers.queue(self.name),
        )  # fmt: skip
        self.recorder = context.recorder(self.name)
        self.expectations = Expectations()
        self.jobs = self.watch(JOBS)
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})
        self.written = Written(self.jobs)
        self.work = PodWork(context.client, self.recorder, self.expectations)
        self.failures: dict[str, Failures] = {}
        # By job key: the pods whose finalizer was taken, until the cache shows it.
        self.released: dict[str, set[str]] = {}
        self._claimer = Claimer(context.client, JOBS, PODS, facts.TRACKING)
        self.jobs.add_handler(self._job_changed)
        context.on_clock_set(self._clock_set)

    def _job_changed(self, old: Obj | None, new: Obj | None) -> None:
        job = new or old
        assert job is not None
        key = key_of(job)
        self.written.seen(key, old, new)
        if new is None or old is None or old["metadata"]["generation"] != new["metadata"]["generation"]:
            self.queue.add(key)
        else:
            self.queue.add_after(key, GATHER)

    def _clock_set(self) -> None:
        """Deadlines and pauses have come nearer, or gone further away."""
        for job in self.jobs.list():
            if not facts.finished(job):
                self.queue.add(key_of(job))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Ticks off what was expected. The jobs concerned are looked at a little later, for there will be
        more."""
        keys = set()
        for pod in (old, new):
            if pod is not None and (owner := facts.owner_job(pod)):
                key = f"{namespace_of(pod)}/{owner['name']}"
                self._observe(key, pod, first=old is None, gone=new is None)
                keys.add(key)
        if new is not None and controller_of(new) is None and not deleting(new) and _may_suit(old, new):
            keys.update(self._adopters(new))
        for key in keys:
            self.queue.add_after(key, GATHER)
        return ()

    def _observe(self, key: str, pod: Obj, *, first: bool, gone: bool) -> None:
        uid = pod["metadata"]["uid"]
        if first and not deleting(pod):
            self.expectations.created(key)
        if gone or deleting(pod):
            self.expectations.deleted(key, uid)
        if gone or not facts.tracked(pod):
            self.released.get(key, set()).discard(uid)

    def _adopters(self, pod: Obj) -> Iterable[str]:
        labels = pod["metadata"].get("labels")
        for job in self.jobs.list(namespace_of(pod)) if labels else ():
            if from_label_selector(job["spec"].get("selector")).matches(labels):
                yield key_of(job)

    def _forget(self, key: str) -> None:
        self.expectations.forget(key)
        self.written.forget(key)
        self.released.pop(key, None)
        self.failures.pop(key, None)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        job = self.jobs.get(name, namespace)
        if job is None or facts.finished(job) or facts.foreign(job):
            self._forget(key)
            return
        if not self.written.visible(key):
            return  # the event that shows what was written brings the job back
        now = self.context.now()
        settled = self.expectations.satisfied(key)
        stored = job.get("status") or {}
        job = {**job, "status": _begun(job, timestamp(now))}
        claimed = await self._claimer.claim(
            job,
            from_label_selector(job["spec"].get("selector")),
            [*controlled(self.pods, job), *orphans(self.pods, namespace)],
        )
        view = View(job, claimed, frozenset(self.released.get(key, ())), self.failures.get(key, Failures()))
        await _Look(self, key, view, stored).act(settled)


def _may_suit(old: Obj | None, new: Obj) -> bool:
    """Whether a pod without a controller may match other jobs than before."""
    if old is None or controller_of(old) is not None:
        return True
    return bool(old["metadata"].get("labels") != new["metadata"].get("labels"))


def _begun(job: Obj, now: str) -> Obj:
    """The status to go on from: a job starts when it is first seen and not suspended."""
    status = {"uncountedTerminatedPods": {}, **(job.get("status") or {})}
    if not status.get("startTime") and not facts.suspended(job):
        status["startTime"] = now
    return status


class _Look:
    """What is done about one job after one look at it."""

    def __init__(self, controller: JobController, key: str, view: View, stored: Obj) -> None:
        self.controller, self.key, self.view = controller, key, view
        self.job, self.stored = view.job, stored
        self.now = controller.context.now()
        self.status: Obj = view.job["status"]
        self.active, self.ready, self.terminating = len(view.active), view.ready, view.terminating
        self.events: list[tuple[str, str, str]] = []

    async def act(self, settled: bool) -> None:
        """One step. `settled`: the cache shows all pods made and deleted so far."""
        verdict = decide(self.view, self.now)
        failure: StatusError | None
        if verdict is not None:
            verdict, failure = await self._end(verdict, settled)
        else:
            verdict, failure = await self._go_on(settled)
        await self._track(verdict)
        if failure is not None:
            raise failure

    async def _end(self, verdict: Verdict, settled: bool) -> tuple[Verdict | None, StatusError | None]:
        done = await self.controller.work.stop(self.job, self.view.active)
        all_gone = done.pods == self.active
        self._gone(done)
        # Where pods may be left that nobody has seen, the job cannot be called finished.
        return (verdict if all_gone and settled else None), done.failure

    async def _go_on(self, settled: bool) -> tuple[Verdict | None, StatusError | None]:
        left = deadline_in(self.job, self.now)
        if left is not None:
            self.controller.queue.add_after(self.key, left)
        manages = settled and not deleting(self.job)
        failure = await self._manage() if manages else None
        if is_complete(self.view, self.active):
            return REACHED, failure
        if manages:
            self._tell_suspension()
        return None, failure

    async def _manage(self) -> StatusError | None:
        planned = plan(self.view, self.now)
        if planned.wait:
            self.controller.queue.add_after(self.key, max(planned.wait, GATHER))
        if planned.delete:
            done = await self.controller.work.drop(self.key, self.job, planned.delete)
            self._gone(done)
            return done.failure
        if planned.create:
            done = await self.controller.work.create(self.key, self.view, planned.create)
            self.active += done.pods
            return done.failure
        return None

    def _gone(self, done: Done) -> None:
        self.active -= done.pods
        self.ready -= done.ready
        self.terminating += done.pods

    def _tell_suspension(self) -> None:
        entries = self.status.get("conditions") or []
        current = conditions.find(entries, facts.SUSPENDED)
        paused = facts.suspended(self.job)
        if (current["status"] if current else "False") == str(paused):
            return
        word = "Suspended" if paused else "Resumed"
        new = condition(facts.SUSPENDED, str(paused), f"Job{word}", f"Job {word.lower()}", self.now)
        self.status = {**self.status, "conditions": [*conditions.without(entries, facts.SUSPENDED), new]}
        # The time a job may be active starts again when it is resumed.
        self.status.pop("startTime", None)
        if not paused:
            self.status["startTime"] = timestamp(self.now)
        self.events.append(("Normal", word, f"Job {word.lower()}"))

    async def _track(self, verdict: Verdict | None) -> None:
        counts = {"active": self.active, "ready": self.ready, "terminating": self.terminating}
        counted = tracking.count(self.view, {**self.status, **counts}, verdict)
        self.status = counted.status
        if verdict is not None:
            self.status = tracking.announce(self.status, verdict, self.now)
        if not await self._flush():
            return
        failure = await self._release(counted.release)
        if verdict is not None and not counted.more and failure is None:
            self._close(verdict)
        if await self._flush() and failure is not None:
            raise failure

    async def _release(self, pods: list[Obj]) -> StatusError | None:
        """Takes the finalizers, and turns the uids of pods that have none into counts."""
        under_way = self.controller.released.setdefault(self.key, set())
        taken = {pod["metadata"]["uid"] for pod in pods}
        under_way |= taken
        kept, failure = await self.controller.work.let_go(pods)
        under_way.difference_update(kept)
        held = {pod["metadata"]["uid"] for pod in self.view.pods if self.view.uncounted(pod)}
        self.status = tracking.settle(self.status, (held - taken) | set(kept))
        return failure

    def _close(self, verdict: Verdict) -> None:
        closed = tracking.close(self.status, verdict, self.now)
        if closed is None:
            return
        self.status = closed
        # One that ended while it was suspended has no start, and an end needs one.
        if self.view.completions != 0:
            self.status.setdefault("startTime", timestamp(self.now))
        completions = self.view.completions
        if not verdict.success:
            self.events.append(("Warning", verdict.reason, verdict.message))
            return
        if completions is not None and closed.get("succeeded", 0) > completions:
            text = "Too many succeeded pods running after completion count reached"
            self.events.append(("Warning", "TooManySucceededPods", text))
        self.events.append(("Normal", "Completed", "Job completed"))

    async def _flush(self) -> bool:
        """Writes the status where it differs from what is stored. False when the job has gone."""
        if self.status != self.stored:
            try:
                self.job = await self.controller.client.update(
                    JOBS, {**self.job, "status": self.status}, subresource="status"
                )
            except StatusError as error:
                if error.code != 404:
                    raise
                return False
            self.controller.written.record(self.key, self.job)
            self.stored = self.status
        self.controller.failures[self.key] = self.view.failures
        for kind, reason, message in self.events:
            self.controller.recorder.event(self.job, kind, reason, message)
        self.events.clear()
        return True
