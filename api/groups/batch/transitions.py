"""What a Job's status may become. Others than the job controller may write it (spec.managedBy), and whoever
reads it relies on this: what has ended stays so, counts do not go back. Only what an update changes is
judged. Source: batch/v1 JobStatus; KEP-4368."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from podium.api.groups.batch import indexes
from podium.api.groups.batch.policies import wrong
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.meta import condition, parse_time
from podium.api.validation import causes, values

CONDITIONS = "status.conditions"
COUNTS = ("active", "succeeded", "failed", "ready", "terminating")


class _Change:
    """A Job's former and new state."""

    def __init__(self, new: Obj, old: Obj) -> None:
        self.spec: Obj = new["spec"]
        self.new_job, self.old_job = new, old
        self.new: Obj = new.get("status") or {}
        self.old: Obj = old.get("status") or {}
        self.indexed = self.spec.get("completionMode") == "Indexed"

    def changed(self, *fields: str, default: Any = None) -> bool:
        return any((self.new.get(field) or default) != (self.old.get(field) or default) for field in fields)

    def has(self, kind: str) -> bool:
        return _holds(self.new_job, kind)

    def had(self, kind: str) -> bool:
        return _holds(self.old_job, kind)

    def turned(self, *kinds: str) -> bool:
        """Whether one of the conditions became true, or ceased to be."""
        return any(self.has(kind) != self.had(kind) for kind in kinds)

    @property
    def ended(self) -> bool:
        return self.has("Complete") or self.has("Failed")

    @property
    def end_turned(self) -> bool:
        return self.ended != (self.had("Complete") or self.had("Failed"))


def _holds(job: Obj, kind: str, status: str = "True") -> bool:
    found = condition(job, kind)
    return found is not None and found.get("status") == status


def check(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a status that replaces `old`'s."""
    change = _Change(new, old)
    found: list[Cause] = []
    for part in (_numbers, _conditions, _times, _at_the_end, _indexes, _never_back):
        found += part(change)
    return found


def _numbers(change: _Change) -> Iterator[Cause]:
    for key in COUNTS:
        yield from values.not_negative(change.new.get(key), f"status.{key}")
    seen: set[str] = set()
    uncounted = change.new.get("uncountedTerminatedPods") or {}
    for part in ("succeeded", "failed"):
        for number, uid in enumerate(uncounted.get(part) or ()):
            path = f"status.uncountedTerminatedPods.{part}[{number}]"
            if not uid:
                yield causes.invalid(path, uid, "must not be empty")
            elif uid in seen:
                yield causes.duplicate(path, uid)
            seen.add(uid)
    ready, active = change.new.get("ready") or 0, change.new.get("active") or 0
    if ready > active and change.changed("ready", "active", default=0):
        yield causes.invalid("status.ready", ready, "cannot set more ready pods than active")


def _conditions(change: _Change) -> Iterator[Cause]:
    complete, failed = change.has("Complete"), change.has("Failed")
    target, met = change.has("FailureTarget"), change.has("SuccessCriteriaMet")
    if complete and failed and change.turned("Complete", "Failed"):
        yield wrong(CONDITIONS, "cannot set Complete=True and Failed=true conditions")
    if complete and target and change.turned("Complete", "FailureTarget"):
        yield wrong(CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions")
    if failed and not target and (change.turned("Failed") or change.changed("failedIndexes")):
        yield wrong(CONDITIONS, "cannot set Failed=True condition without the FailureTarget=true condition")
    if complete and not met and change.turned("Complete", "SuccessCriteriaMet"):
        yield wrong(
            CONDITIONS, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        )
    if met and failed:
        yield wrong(CONDITIONS, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if met and target:
        yield wrong(CONDITIONS, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    if change.spec.get("successPolicy") is not None and complete and not met:
        yield wrong(
            CONDITIONS, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        )


def _times(change: _Change) -> Iterator[Cause]:
    end, start = change.new.get("completionTime"), change.new.get("startTime")
    former_end, former_start = change.old.get("completionTime"), change.old.get("startTime")
    complete = change.has("Complete")
    if change.turned("Complete") or change.changed("completionTime"):
        if end and not complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            yield causes.invalid("status.completionTime", end, detail)
        if complete and not end:
            yield causes.required("status.completionTime", "completionTime is required for Complete jobs")
    if (
        start
        and end
        and change.changed("startTime", "completionTime")
        and parse_time(end) < parse_time(start)
    ):
        yield causes.invalid("status.completionTime", end, "must be equal to or after `startTime`")
    if end and former_end and end != former_end:
        yield causes.immutable("status.completionTime", end)
    resumes = change.had("Suspended") and _holds(change.new_job, "Suspended", "False")
    if former_start and start != former_start and not change.spec.get("suspend") and not resumes:
        detail = "field is immutable for unsuspended job once set"
        yield causes.invalid("status.startTime", start, detail)


def _at_the_end(change: _Change) -> Iterator[Cause]:
    if not change.ended:
        return
    new, turned = change.new, change.end_turned
    empty = bool(change.spec.get("suspend")) and change.spec.get("completions") == 0
    if new.get("active") and (turned or change.changed("active", default=0)):
        yield causes.invalid("status.active", new["active"], "active>0 is invalid for finished job")
    if not new.get("startTime") and not empty and (turned or change.changed("startTime")):
        yield causes.required("status.startTime", "startTime is required for finished job")
    uncounted = new.get("uncountedTerminatedPods") or {}
    if any(uncounted.values()) and (turned or change.changed("uncountedTerminatedPods", default={})):
        detail = "must be empty for finished job"
        yield causes.invalid("status.uncountedTerminatedPods", uncounted, detail)
    if new.get("terminating") and (turned or change.changed("terminating", default=0)):
        detail = "terminating>0 is invalid for finished job"
        yield causes.invalid("status.terminating", new["terminating"], detail)


def _indexes(change: _Change) -> Iterator[Cause]:
    completions = change.spec.get("completions")
    done, lost = change.new.get("completedIndexes") or "", change.new.get("failedIndexes")
    done_changed, lost_changed = (
        change.changed("completedIndexes", default=""),
        change.changed("failedIndexes"),
    )
    per_index = change.spec.get("backoffLimitPerIndex") is not None
    parsed: dict[str, list[indexes.Interval]] = {}
    for name, text, judged in (
        ("completedIndexes", done, done_changed),
        ("failedIndexes", lost or "", lost_changed and per_index),
    ):
        try:
            parsed[name] = indexes.parse(text, completions or 0) if completions is not None else []
        except ValueError as error:
            if judged:
                yield causes.invalid(f"status.{name}", text, f"error parsing {name}: {error}")
    if done and done_changed and not change.indexed:
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield causes.invalid("status.completedIndexes", done, detail)
    if lost is not None and lost_changed and not per_index:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield causes.invalid("status.failedIndexes", lost, detail)
    if lost and (lost_changed or done_changed) and len(parsed) == 2:
        shared = indexes.overlap(parsed["completedIndexes"], parsed["failedIndexes"])
        if shared is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {shared}"
            yield causes.invalid("status.failedIndexes", lost, detail)


def _never_back(change: _Change) -> Iterator[Cause]:
    for kind in ("Failed", "Complete", "FailureTarget"):
        if change.had(kind) and not change.has(kind):
            yield wrong(CONDITIONS, f"cannot disable the terminal {kind}=True condition")
    if change.had("SuccessCriteriaMet") and not change.has("SuccessCriteriaMet"):
        yield wrong(CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition")
    if change.had("Complete") and not change.had("SuccessCriteriaMet") and change.has("SuccessCriteriaMet"):
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield wrong(CONDITIONS, detail)
    # An indexed job that is made smaller loses the indexes above.
    elastic = change.indexed and change.spec.get("completions") == change.spec.get("parallelism")
    for key in ("failed",) if elastic else ("failed", "succeeded"):
        count = change.new.get(key) or 0
        if count < (change.old.get(key) or 0):
            yield causes.invalid(f"status.{key}", count, f"cannot decrease the {key} counter")
