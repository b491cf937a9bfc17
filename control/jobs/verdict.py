"""Whether a Job is to end, and why. A job that could end for several reasons ends for the first of: what was
decided before, its failure policy, its limits, its success policy, its completions. Source: batch/v1
JobSpec, JobStatus; KEP-3939."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from podium.api.types import Obj
from podium.api.types.meta import parse_time, timestamp
from podium.control import conditions
from podium.control.jobs import facts
from podium.control.jobs.policies import judge, satisfied
from podium.control.jobs.view import View
from podium.control.pods import phase


class Verdict(NamedTuple):
    """How the job ends: `success` or not; reason and message of both conditions that say so, the one while
    its last pods go and the final one."""

    success: bool
    reason: str
    message: str

    @property
    def interim(self) -> str:
        return facts.SUCCESS_CRITERIA_MET if self.success else facts.FAILURE_TARGET

    @property
    def final(self) -> str:
        return facts.COMPLETE if self.success else facts.FAILED

    def condition(self, kind: str, now: datetime) -> Obj:
        return condition(kind, "True", self.reason, self.message, now)


REACHED = Verdict(True, "CompletionsReached", "Reached expected number of succeeded pods")


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    """A JobCondition."""
    made = conditions.make(kind, status, reason, message, now)
    return {**made, "lastProbeTime": timestamp(now)}


def decide(view: View, now: datetime) -> Verdict | None:
    """Why the job ends whatever its pods do from now on; None while it goes on."""
    return (
        _decided(view)
        or _failed_by_policy(view)
        or _over_limit(view, now)
        or _lost_indexes(view)
        or _succeeded_by_policy(view)
    )


def _decided(view: View) -> Verdict | None:
    for kind in (facts.SUCCESS_CRITERIA_MET, facts.FAILURE_TARGET):
        found = conditions.find(view.status.get("conditions") or (), kind)
        if found is not None and found["status"] == "True":
            success = kind == facts.SUCCESS_CRITERIA_MET
            return Verdict(success, found.get("reason", ""), found.get("message", ""))
    return None


def _failed_by_policy(view: View) -> Verdict | None:
    if view.policy is None:
        return None
    for pod in view.pods:
        if facts.failed(pod, view.spec) and (message := judge(view.policy, pod).message):
            return Verdict(False, "PodFailurePolicy", message)
    return None


def _over_limit(view: View, now: datetime) -> Verdict | None:
    if view.failed > view.spec["backoffLimit"] or _restarts_too_often(view):
        return Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = deadline_in(view.job, now)
    if left is not None and left <= 0:
        return Verdict(False, "DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _restarts_too_often(view: View) -> bool:
    """Containers that are restarted in place count like failed pods."""
    limit: int = view.spec["backoffLimit"]
    if view.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(_restarts(pod) for pod in view.pods if phase(pod) in ("Running", "Pending"))
    return restarts >= max(limit, 1)


def _restarts(pod: Obj) -> int:
    status: dict[str, Any] = pod.get("status") or {}
    entries = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return sum(entry.get("restartCount", 0) for entry in entries)


def deadline_in(job: Obj, now: datetime) -> float | None:
    """Seconds until the job has been active for too long; None where nothing limits it now."""
    seconds, start = job["spec"].get("activeDeadlineSeconds"), job["status"].get("startTime")
    if seconds is None or not start or facts.suspended(job):
        return None
    return float(seconds - (now - parse_time(start)).total_seconds())


def _lost_indexes(view: View) -> Verdict | None:
    if not view.lost:
        return None
    limit = view.spec.get("maxFailedIndexes")
    if limit is not None and len(view.lost) > limit:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return Verdict(False, "MaxFailedIndexesExceeded", message)
    if len(view.lost) + len(view.completed) >= (view.completions or 0):
        return Verdict(False, "FailedIndexes", "Job has failed indexes")
    return None


def _succeeded_by_policy(view: View) -> Verdict | None:
    if not view.indexed:
        return None
    message = satisfied(view.spec.get("successPolicy"), view.completed, view.completions or 0)
    return Verdict(True, "SuccessPolicy", message) if message else None


def is_complete(view: View, active: int) -> bool:
    """Whether enough pods have succeeded and none runs. Without a number of completions, one success is
    enough."""
    if view.completions is None:
        return view.succeeded > 0 and active == 0
    return view.succeeded >= view.completions and active == 0
