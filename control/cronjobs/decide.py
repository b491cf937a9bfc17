"""What to do about one CronJob: pure, from the object, its Jobs and the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from email.utils import format_datetime
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import controller_reference, parse_time
from podium.api.types.schedule import Schedule
from podium.control.cronjobs.timing import MANY, Unschedulable, missed, next_in, schedule_of, zone_of
from podium.control.jobs.facts import finished

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class Event(NamedTuple):
    type: str
    reason: str
    message: str


@dataclass
class Observed:
    """The status as the Jobs show it. `unknown` are Jobs that run and are not in it, `gone` references in it
    whose Job is not there: neither is sure before the API server has been asked."""

    status: Obj
    events: list[Event] = field(default_factory=list)
    unknown: list[Obj] = field(default_factory=list)
    gone: list[Obj] = field(default_factory=list)


@dataclass
class Decision:
    """`start` is the scheduled time to make a Job for. `wait` is the seconds until the next one; None: only
    a change of the CronJob leads on."""

    start: datetime | None = None
    wait: float | None = None
    events: list[Event] = field(default_factory=list)


def active(status: Obj) -> list[Obj]:
    return status.get("active") or []


def without(status: Obj, uid: str) -> Obj:
    """The status with one reference less."""
    left = [reference for reference in active(status) if reference.get("uid") != uid]
    status = {name: value for name, value in status.items() if name != "active"}
    return {**status, "active": left} if left else status


def surplus(cron: Obj, jobs: Iterable[Obj]) -> list[Obj]:
    """Jobs that ended and are more than the history holds, oldest first."""
    found: list[Obj] = []
    jobs = list(jobs)
    for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        keep = cron["spec"].get(limit)
        if keep is not None:
            ended = sorted((job for job in jobs if finished(job) == kind), key=_by_start)
            found += ended[: max(0, len(ended) - keep)]
    return found


def _by_start(job: Obj) -> tuple[bool, str, str]:
    start = (job.get("status") or {}).get("startTime") or ""
    return not start, start, job["metadata"]["name"]


def observe(status: Obj, jobs: Sequence[Obj]) -> Observed:
    found = Observed(status)
    for job in jobs:
        meta, end = job["metadata"], finished(job)
        listed = any(reference.get("uid") == meta["uid"] for reference in active(found.status))
        if not end and not listed:
            found.unknown.append(job)
        if end and listed:
            found.status = without(found.status, meta["uid"])
            text = f"Saw completed job: {meta['name']}, condition: {end}"
            found.events.append(Event("Normal", "SawCompletedJob", text))
        if end == "Complete":
            found.status = _succeeded(found.status, job["status"].get("completionTime"))
    present = {job["metadata"]["uid"] for job in jobs}
    found.gone = [reference for reference in active(found.status) if reference.get("uid") not in present]
    return found


def _succeeded(status: Obj, moment: str | None) -> Obj:
    last = status.get("lastSuccessfulTime")
    if moment is None or (last and parse_time(last) >= parse_time(moment)):
        return status
    return {**status, "lastSuccessfulTime": moment}


def decide(cron: Obj, now: datetime) -> Decision:
    """`cron` has its status as observed."""
    spec = cron["spec"]
    try:
        zone = zone_of(cron)
    except (ValueError, OSError, KeyError) as error:
        text = f'invalid timeZone: "{spec["timeZone"]}": {error}'
        return Decision(events=[Event("Warning", "UnknownTimeZone", text)])
    if spec.get("suspend"):
        return Decision()
    try:
        plan = schedule_of(cron)
    except ValueError as error:
        text = f'unparseable schedule: "{spec["schedule"]}" : {error}'
        return Decision(events=[Event("Warning", "UnparseableSchedule", text)])
    return _decide(cron, plan, zone, now)


def _decide(cron: Obj, plan: Schedule, zone: tzinfo, now: datetime) -> Decision:
    try:
        found = missed(cron, plan, zone, now, deadline=True)
    except Unschedulable as error:
        text = f"invalid schedule: {cron['spec']['schedule']} : {error}"
        return Decision(events=[Event("Warning", "InvalidSchedule", text)])
    decision = Decision(wait=next_in(cron, plan, zone, now))
    if found.latest is None:
        return decision
    if found.times > MANY:
        text = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        decision.events.append(Event("Warning", "TooManyMissedTimes", text))
    if event := _obstacle(cron, found.latest, now):
        decision.events += [event] if event.reason else []
    else:
        decision.start = found.latest
    return decision


_PROCESSED = Event("", "", "")


def _obstacle(cron: Obj, start: datetime, now: datetime) -> Event | None:
    """Why no Job is made for this time, None where one is."""
    spec, status = cron["spec"], cron.get("status") or {}
    seconds = spec.get("startingDeadlineSeconds")
    if seconds is not None and start + timedelta(seconds=seconds) < now:
        moment = format_datetime(start, usegmt=True).replace("GMT", "UTC")
        return Event("Warning", "MissSchedule", f"Missed scheduled time to start a job: {moment}")
    last, name = status.get("lastScheduleTime"), job_name(cron, start)
    if any(reference.get("name") == name for reference in active(status)):
        return _PROCESSED
    if last and parse_time(last) == start:
        return _PROCESSED
    if spec.get("concurrencyPolicy") == "Forbid" and active(status):
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return Event("Normal", "JobAlreadyActive", text)
    return None


def job_name(cron: Obj, start: datetime) -> str:
    """One name per scheduled minute, so that a Job made twice is refused the second time."""
    return f"{cron['metadata']['name']}-{int(start.timestamp()) // 60}"


def job_for(cron: Obj, start: datetime) -> Obj:
    """The Job of one scheduled time."""
    template = cron["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    local = start.astimezone(zone_of(cron)).isoformat(timespec="seconds").replace("+00:00", "Z")
    made: Obj = {
        "name": job_name(cron, start),
        "namespace": cron["metadata"]["namespace"],
        "annotations": {**(meta.get("annotations") or {}), SCHEDULED: local},
        "ownerReferences": [controller_reference(cron)],
    }
    if meta.get("labels"):
        made["labels"] = meta["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": template["spec"]}


def reference_to(job: Obj) -> Obj:
    """The ObjectReference that stands in the list of active Jobs."""
    meta = job["metadata"]
    parts = {name: meta[name] for name in ("namespace", "name", "uid", "resourceVersion")}
    return {"kind": "Job", "apiVersion": "batch/v1", **parts}
