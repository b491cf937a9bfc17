"""CronJobs."""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.batch import jobs
from podium.api.groups.core import pod_defaults
from podium.api.strategy import Strategy
from podium.api.types import Obj, schedule
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, values

POLICIES = ("Allow", "Forbid", "Replace")
# A job's name is the CronJob's and eleven characters of time.
NAME_LIMIT = 52
# A zone in front of the schedule: older than the field for it, and refused for its sake.
_ZONED = re.compile(r"^(CRON_)?TZ=\S* ")
_ZONE_PART = re.compile(r"(?!-)[A-Za-z0-9._+-]{1,14}")


class CronJobs(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "Schedule", "Timezone", "Suspend:boolean", "Active:integer", "Last Schedule", "Age",
        *cells.CONTAINERS,
    )  # fmt: skip
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        # The defaults of a whole Job (its counts and modes) come when one is made from the template.
        pod_defaults.template(job.setdefault("template", {}))

    def validate_create(self, obj: Obj) -> list[Cause]:
        found = super().validate_create(obj)
        name = obj["metadata"].get("name", "")
        if len(name) > NAME_LIMIT:
            detail = f"must be no more than {NAME_LIMIT} characters"
            found.append(causes.invalid("metadata.name", name, detail))
        return found

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        text = spec.get("schedule", "")
        if not text:
            found.append(causes.required("spec.schedule"))
        else:
            found += _schedule(text)
        seconds = spec.get("startingDeadlineSeconds")
        found += values.not_negative(seconds, "spec.startingDeadlineSeconds")
        found += _zone(spec.get("timeZone"))
        found += values.one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", POLICIES)
        for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            found += values.not_negative(spec.get(key), f"spec.{key}")
        return found + _template(spec["jobTemplate"])

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        last = status.get("lastScheduleTime")
        job = (spec.get("jobTemplate") or {}).get("spec") or {}
        return [
            obj["metadata"]["name"], spec.get("schedule", ""), spec.get("timeZone") or cells.NONE,
            cells.boolean(spec.get("suspend")), len(status.get("active") or ()),
            cells.since(last, now) if last else cells.NONE, cells.age(obj, now),
            *cells.containers(job.get("template")), cells.selector(job.get("selector")),
        ]  # fmt: skip


def _schedule(text: str) -> list[Cause]:
    path = "spec.schedule"
    found = []
    try:
        schedule.parse(_ZONED.sub("", text, count=1))
    except ValueError as error:
        found.append(causes.invalid(path, text, str(error)))
    if "TZ" in text:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        found.append(causes.invalid(path, text, detail))
    return found


def _zone(zone: str | None) -> list[Cause]:
    path = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [causes.invalid(path, zone, "timeZone must be nil or non-empty string")]
    unknown = [causes.invalid(path, zone, f"unknown time zone {zone}")]
    if not all(_ZONE_PART.fullmatch(part) and part not in (".", "..") for part in zone.split("/")):
        return unknown
    if zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [causes.invalid(path, zone, detail)] + (unknown if zone != "Local" else [])
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return unknown
    return []


def _template(template: Obj) -> list[Cause]:
    path, job, meta = "spec.jobTemplate", template["spec"], template.get("metadata") or {}
    found = metadata.check_labels(meta.get("labels"), f"{path}.labels")
    found += metadata.check_annotations(meta.get("annotations"), f"{path}.annotations")
    if job.get("selector") is not None:
        detail = "`selector` will be auto-generated"
        found.append(causes.invalid(f"{path}.spec.selector", job["selector"], detail))
    if job.get("manualSelector"):
        found.append(causes.not_supported(f"{path}.spec.manualSelector", True, ("nil", "false")))
    return found + jobs.check_spec(job, f"{path}.spec")
